"""A client that asks for what is not here is told what to do instead."""

import httpx
import pytest

from lightphon_core.web.unknown_urls import INSTEAD, OLLAMA, instead_of, wrong_method


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    with run_server(tmp_path_factory.mktemp("unknown")) as running:
        yield running


def refused(running, method, path):
    answer = httpx.request(method, running.url + path)
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "unknown_url")
    return answer, error["message"]


@pytest.mark.parametrize("place", ["/v1", "", "/api/agent/at_secret/v1", "/api/agent/at_secret"])
def test_endpoints_that_we_have_not_say_what_there_is(running, place):
    for path, words in (
        ("responses", ("no Responses API", "POST /v1/chat/completions", "use_responses_api=False")),
        ("responses/resp_1/input_items", ("no Responses API",)),
        ("audio/transcriptions", ("no audio",)),
        ("images/generations", ("makes no images",)),
        ("moderations", ("no moderation",)),
        ("assistants", ("no assistants", "POST /v1/chat/completions")),
        ("batches", ("no batches",)),
        ("files", ("keeps no files",)),
        ("messages", ("not Anthropic's",)),
    ):
        answer, message = refused(running, "POST", f"{place}/{path}")
        assert answer.status_code == 404
        assert all(word in message for word in words), message
        assert "at_secret" not in message


def test_base_urls_that_are_not_quite_right(running):
    for path in ("/v1/v1/chat/completions", "/v1/chat/completions/chat/completions", "/openai/v1/models"):
        assert "should end in /v1" in refused(running, "POST", path)[1]
    for path in ("/", "/v1", "/v1/"):
        assert "clients append" in refused(running, "GET", path)[1]
    assert "Ollama's API" in refused(running, "POST", "/api/chat")[1]


def test_what_nobody_can_guess_is_listed_elsewhere(running):
    for path in ("/v1/nothing", "/api/nothing", "/v1/chat"):
        assert "GET /schema lists" in refused(running, "GET", path)[1]


def test_a_wrong_method_says_the_right_one(running):
    for method, path, allow, right in (
        ("GET", "/v1/chat/completions", "OPTIONS, POST", "Send POST."),
        ("PUT", "/models", "GET, HEAD, OPTIONS", "Send GET."),
        ("DELETE", "/api/agent/at_secret/v1/models/owner/name", "GET, HEAD, OPTIONS", "Send GET."),
        ("POST", "/api/wallet", "GET, HEAD, OPTIONS", "Send GET."),
        ("PUT", "/api/keys", "GET, HEAD, OPTIONS, POST", "Send GET or POST."),
    ):
        answer, message = refused(running, method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)
        assert message.endswith(right)
        assert message.startswith(f"{method} is not for {path.replace('at_secret', '-')}.")


def test_no_path_of_ours_is_in_the_tables(running):
    paths = {route.path for route in running.server._app.routes}
    ours = {path.removeprefix("/v1").strip("/").split("/")[0] for path in paths if path.startswith("/v1/")}
    assert ours == {"models", "chat", "completions", "fim", "embeddings"}
    assert not ours & set(INSTEAD)
    assert not {path.split("/")[2] for path in paths if path.startswith("/api/")} & OLLAMA


def test_the_rules_by_themselves():
    assert instead_of("/api/agent/at_x/v1//responses/") == INSTEAD["responses"]
    assert instead_of("//v1/files/file-1/content") == INSTEAD["files"]
    assert instead_of("/api") is None
    assert instead_of("/v1/models-of-mine") is None
    assert wrong_method("PUT", "/x", "HEAD, GET, OPTIONS") == "PUT is not for /x. Send GET."
