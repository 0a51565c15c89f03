"""What Continue, Cursor and Open WebUI send, against the whole system, and what they read of the answers.

recorded/ has a body for each, and says where it comes from: `python -m json.tool` shows it. None of these programs is
needed here.
"""

import json
from pathlib import Path

import httpx
import pytest
from lightphon_backend_gguf.testing import projector, scripted

from lightphon_core.settings import ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Capability, Model

RECORDED = Path(__file__).with_name("recorded")
SAID = scripted.GREETING.text


@pytest.fixture
def send():
    """`send(system, name)` sends the recorded request `name`, with the system's key unless `key` says otherwise."""

    def send(system, name, *, key=None):
        recorded = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
        key = system.api_key if key is None else key
        headers = {each: value.replace("$KEY", key) for each, value in recorded["headers"].items()}
        if key:
            headers["authorization"] = f"Bearer {key}"
        content = None if recorded["body"] is None else json.dumps(recorded["body"])
        return httpx.request(recorded["method"], system.url + recorded["path"], headers=headers, content=content)

    return send


def events(answer):
    """The JSON of a stream's events; it must end with [DONE]."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    *found, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(each) for each in found]


def chat_text(answer):
    return "".join(choice["delta"].get("content") or "" for each in events(answer) for choice in each["choices"])


def called(answer):
    """Name and arguments of the one call of a streamed answer, and how it ended."""
    name, arguments, reason = "", "", None
    for choice in [choice for each in events(answer) for choice in each["choices"]]:
        for call in choice["delta"].get("tool_calls") or ():
            name += call["function"].get("name") or ""
            arguments += call["function"].get("arguments") or ""
        reason = choice["finish_reason"] or reason
    return name, json.loads(arguments), reason


def refused(answer, param):
    """The message of a 400 about `param`."""
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    return error["message"]


def test_every_recording_is_sent_and_says_where_it_comes_from():
    source = Path(__file__).read_text("utf-8")
    for path in RECORDED.iterdir():
        assert f'"{path.stem}"' in source, f"{path.name} is sent by no test"
        recorded = json.loads(path.read_text("utf-8"))
        assert recorded.keys() == {"source", "method", "path", "headers", "body"}
        assert recorded["source"].startswith(("captured from ", "written down from "))


class TestContinue:
    def test_an_agent_calls_a_tool(self, caller, send):
        """It drops every chunk with usage but the last, so the one with the finish reason has none."""
        answer = send(caller, "continue_chat")
        assert called(answer) == ("get_weather", {"city": "Paris"}, "tool_calls")
        *before, last = events(answer)
        assert [each for each in before if "usage" in each] == []
        assert last["usage"]["completion_tokens"] > 0

    def test_the_tools_result_comes_back(self, caller, send):
        assert called(send(caller, "continue_tool_result"))[0] == "get_weather"

    def test_autocomplete_without_a_model_for_infill_is_told_so(self, library, send):
        assert "infill" in refused(send(library, "continue_fim"), "suffix")

    def test_autocomplete_reads_a_content_of_every_chunk(self, start_server, send):
        """Older ones read `choices[0].delta.content` of each without looking."""
        able = frozenset({Capability.COMPLETION, Capability.INFILL})
        backend = ScriptedBackend(says("name", " + 1"), models=[Model("coder", capabilities=able, context_length=4096)])
        running = start_server(plugin_of(backend))
        chunks = events(send(running, "continue_fim"))
        assert "".join(each["choices"][0]["delta"]["content"] for each in chunks) == "name + 1"
        sent = json.loads(backend.jobs[0].body)
        assert backend.jobs[0].path == "/v1/completions"
        assert (sent["prompt"], sent["suffix"]) == ("def greet(name):\n    return ", '\n\nprint(greet("you"))\n')
        assert len(sent["stop"]) == 10

    def test_autocomplete_in_an_engine(self, start_system, tmp_path, send):
        """The node puts the model's own tokens for infill around prompt and suffix."""
        system = start_system()
        system.start_node(scripted.INFILL.write(tmp_path / "coder.gguf"))
        assert chat_text(send(system, "continue_fim")) == scripted.INFILL.text

    def test_autocomplete_with_the_models_own_tokens(self, library, send):
        texts = [each["choices"][0]["text"] for each in events(send(library, "continue_legacy_completions"))]
        assert "".join(texts) == SAID


class TestCursor:
    def test_verifying_a_key(self, library, send):
        assert send(library, "cursor_verify").json()["choices"][0]["message"]["content"] == SAID
        assert send(library, "cursor_verify", key="lp_wrong").status_code == 401

    def test_asking_with_tools(self, caller, send):
        answer = send(caller, "cursor_ask")
        assert called(answer) == ("get_weather", {"city": "Paris"}, "tool_calls")
        assert "auth0" not in answer.text

    def test_a_custom_tool_is_refused_by_name(self, caller, send):
        message = refused(send(caller, "cursor_ask_custom_tool"), "tools[1].type")
        assert "must be one of: function." in message

    def test_a_request_of_the_responses_api_is_called_that(self, caller, send):
        assert "Responses API" in refused(send(caller, "cursor_agent"), "messages")


class TestOpenWebUI:
    def test_listing_with_a_key(self, library, send):
        listed = send(library, "open_webui_models").json()["data"]
        assert [each["id"] for each in listed] == ["auto", "embedder", "greeting"]

    def test_listing_with_an_empty_key(self, library, send):
        answer = send(library, "open_webui_models", key="")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")

    def test_listing_with_an_empty_key_where_everybody_may(self, start_server, send):
        server = ServerSettings(open_models=True)
        running = start_server(plugin_of(ScriptedBackend(says("Hi"))), server=server)
        listed = send(running, "open_webui_models", key="").json()["data"]
        assert [each["id"] for each in listed] == ["auto", "test-model"]
        assert send(running, "open_webui_chat", key="").status_code == 401

    def test_a_chat(self, library, send):
        answer = send(library, "open_webui_chat")
        assert chat_text(answer) == SAID
        assert events(answer)[-1]["usage"]["total_tokens"] > 0

    @pytest.mark.parametrize("name", ["open_webui_title", "open_webui_follow_ups"])
    def test_background_requests(self, library, send, name):
        answer = send(library, name).json()
        assert answer["choices"][0]["message"]["content"] == SAID
        assert answer["choices"][0]["finish_reason"] == "stop"

    def test_an_image(self, start_system, models, tmp_path, send):
        system = start_system()
        eyes = projector.build(tmp_path / "mmproj.gguf", models / "greeting.gguf")
        system.start_node("greeting", mmproj=eyes)
        assert chat_text(send(system, "open_webui_image")) == SAID

    def test_an_image_without_a_model_with_vision(self, library, send):
        """It shows the message to the user."""
        assert "images" in refused(send(library, "open_webui_image"), "messages")

    def test_embeddings_of_its_documents(self, library, send):
        vectors = [each["embedding"] for each in send(library, "open_webui_embeddings").json()["data"]]
        assert len(vectors) == 2
        assert all(type(number) is float for number in vectors[0])
