"""Client, LightPhon and OpenClaw's shapes, with a price: what is billed, what is not, and what nobody gets to see."""

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from lightphon_backend_openclaw.testing import fake as shapes
from lightphon_backend_openclaw.testing.fake import PIECES, FakeServer

from lightphon_core.money import Amount
from lightphon_core.serving.meter import TOKENS_PER_BYTE
from lightphon_core.settings import PriceSettings, PricingSettings

TEXT = "".join(PIECES)
PROMPT = "Say hello to everybody here."
MODEL = "openclaw/main"
PER_MINUTE = {"price": "60000"}  # a sat for a millisecond
BY_TOKENS = PricingSettings(
    models={MODEL: PriceSettings(per_mtok_prompt=Amount(10**12), per_mtok_completion=Amount(10**12))}
)
TOKEN = 10**6
"""Millisatoshi that each token costs then."""

Start = Callable[..., Any]


def ask(gateway: Any, *, stream: bool = False, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "stream": stream, **body}
    given = {"Authorization": f"Bearer {gateway.running.api_key}", **(headers or {})}
    return httpx.post(f"{gateway.running.url}/v1/chat/completions", json=asked, headers=given, timeout=20)


def events(reply: httpx.Response) -> list[Any]:
    payloads = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def test_an_answer_is_billed_and_says_who_gave_it(start_gateway: Start, fake: FakeServer) -> None:
    gateway = start_gateway(PER_MINUTE)
    answer = ask(gateway).json()
    assert answer["choices"][0]["message"]["content"] == TEXT
    assert (answer["model"], answer["id"].startswith("chatcmpl-")) == (MODEL, True)
    info = answer["routing_info"]
    assert (info["backend"], info["node_name"], info["model"]) == ("openclaw", "OpenClaw", MODEL)
    assert answer["usage"]["cost_msat"] == gateway.spent() > 0
    streamed = events(ask(gateway, stream=True, model="auto"))
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in streamed[:-1]) == TEXT
    assert streamed[-1] == "[DONE]"
    listed = httpx.get(
        f"{gateway.running.url}/v1/models", headers={"Authorization": f"Bearer {gateway.running.api_key}"}
    )
    owners = {each["id"]: each["owned_by"] for each in listed.json()["data"]}
    assert {name: owners[name] for name in shapes.AGENTS} == dict.fromkeys(shapes.AGENTS, "OpenClaw")


def test_nothing_of_the_client_reaches_the_upstream_but_the_request(start_gateway: Start, fake: FakeServer) -> None:
    gateway = start_gateway()
    headers = {
        "x-openclaw-agent-id": "admin",
        "x-openclaw-model": "other/model",
        "x-openclaw-session-key": "mine",
        "x-session-id": "s",
        "cookie": "a=b",
        "user-agent": "somebody",
        "x-forwarded-for": "10.1.2.3",
    }
    private = {"user": "alice", "metadata": {"a": "b"}, "store": True, "prompt_cache_key": "k", "session_id": "s"}
    assert ask(gateway, headers=headers, temperature=0.5, **private).status_code == 200
    (sent,) = fake.chats()
    ours = "host authorization content-type content-length accept accept-encoding user-agent connection"
    assert set(sent.headers) == set(ours.split())
    assert sent.headers["authorization"] == f"Bearer {fake.key}"
    assert sent.headers["user-agent"].startswith("LightPhon/")
    assert (sent.path, sent.body["model"], sent.body["temperature"]) == ("/v1/chat/completions", MODEL, 0.5)
    assert not set(private) & set(sent.body)


@pytest.mark.parametrize(
    "answer",
    [shapes.fails_in_the_stream(), shapes.fails_in_the_stream("Hello"), shapes.never_finishes("Hello")],
    ids=["error before the text", "error after some text", "no finish_reason"],
)
def test_a_failed_answer_costs_nothing(start_gateway: Start, fake: FakeServer, answer: Any) -> None:
    gateway = start_gateway(PER_MINUTE)
    fake.answer = answer
    whole = ask(gateway)
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "no_nodes_available")
    streamed = ask(gateway, stream=True)
    if streamed.status_code == 200:  # the text was under way before the error came
        last = events(streamed)[-1]
        assert last["choices"][0]["finish_reason"] == "error"
        assert last["error"]["code"] == "no_nodes_available"
    else:
        assert streamed.status_code == 503
    assert "internal error" not in whole.text + streamed.text
    assert gateway.spent() == 0


def test_zero_usage_is_what_was_counted_and_summed_usage_is_bounded(start_gateway: Start, fake: FakeServer) -> None:
    gateway = start_gateway(pricing=BY_TOKENS)
    fake.answer = shapes.says(*PIECES, counted=(0, 0))
    answer = ask(gateway).json()
    assert answer["usage"]["completion_tokens"] == len(PIECES)
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["usage"]["cost_msat"] == gateway.spent() == TOKEN * answer["usage"]["total_tokens"]
    before = gateway.spent()
    fake.answer = shapes.says(*PIECES, counted=(40_000, 9_000))
    bounded = ask(gateway).json()["usage"]
    assert bounded["completion_tokens"] <= TOKENS_PER_BYTE * len(TEXT) + 2
    assert bounded["prompt_tokens"] < len(PROMPT) + 64, "the agent's own prompts are not the client's"
    assert gateway.spent() - before == TOKEN * bounded["total_tokens"]


@pytest.mark.parametrize(("upstream", "status"), [(400, 400), (408, 503), (504, 504)])
def test_what_a_status_is_to_the_client(start_gateway: Start, fake: FakeServer, upstream: int, status: int) -> None:
    gateway = start_gateway(PER_MINUTE)
    fake.answer = shapes.answers(upstream)
    reply = ask(gateway)
    assert reply.status_code == status, reply.text
    assert not any(word in reply.text for word in ("10.0.0.7", "everybody", fake.key or ""))
    assert gateway.spent() == 0


def test_a_full_server_says_when_to_come_back(start_gateway: Start, fake: FakeServer) -> None:
    gateway = start_gateway(limits={"queue_s": 0.0})
    fake.answer = shapes.answers(429, "retry-after: 7")
    reply = ask(gateway)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "7")


def test_the_administrator_is_told_once_and_nobody_the_key(
    start_gateway: Start, fake: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = start_gateway()
    fake.answer = shapes.answers(401)
    assert [ask(gateway).status_code for _ in range(2)] == [503, 503]
    told = [record for record in caplog.records if "of no use" in record.getMessage()]
    assert [record.levelname for record in told] == ["ERROR"]
    assert "OPENCLAW_API_KEY" in told[0].getMessage()
    assert len(fake.chats()) == 2
    assert (fake.key or "") not in caplog.text
    assert PROMPT not in caplog.text


def test_no_redirect_is_followed(start_gateway: Start, fake: FakeServer) -> None:
    gateway = start_gateway()
    with FakeServer() as elsewhere:
        elsewhere.listen()
        fake.answer = shapes.answers(307, f"location: {elsewhere.url}/v1/chat/completions")
        assert ask(gateway).status_code == 503
        assert elsewhere.asked == []


@pytest.mark.parametrize("answer", [shapes.hangs(), shapes.hangs("Hello")], ids=["silent", "in the middle"])
def test_what_takes_too_long_is_a_504_and_costs_nothing(start_gateway: Start, fake: FakeServer, answer: Any) -> None:
    gateway = start_gateway({**PER_MINUTE, "timeout_s": 0.2})
    fake.answer = answer
    reply = ask(gateway)
    assert (reply.status_code, reply.headers.get("x-should-retry")) == (504, "false")
    assert fake.hung_up.wait(5)
    assert gateway.spent() == 0


@pytest.mark.parametrize("answer", [shapes.hangs(), shapes.hangs("Hello")], ids=["before the text", "after some"])
def test_a_client_that_leaves_closes_the_upstream_at_once(start_gateway: Start, fake: FakeServer, answer: Any) -> None:
    gateway = start_gateway()
    fake.answer = answer
    parts = urlsplit(gateway.running.url)
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], "stream": True})
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {gateway.running.api_key}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as client:
        client.sendall(request.encode())
        assert fake.began.wait(10)
        assert not fake.hung_up.is_set()
    assert fake.hung_up.wait(1)


def test_the_key_is_nowhere_to_be_seen(start_gateway: Start, fake: FakeServer) -> None:
    gateway = start_gateway()
    auth = {"Authorization": f"Bearer {gateway.running.api_key}"}
    for path in ("/v1/models", "/api/status", "/api/nodes", "/metrics", "/readyz", "/schema/openapi.json"):
        assert (fake.key or "") not in httpx.get(gateway.running.url + path, headers=auth).text
    routed = httpx.post(f"{gateway.running.url}/api/models/route", json={"model": "auto"}, headers=auth)
    assert routed.status_code == 200
    assert (fake.key or "") not in routed.text
    assert fake.url not in routed.text
    (backend,) = gateway.running.server.gateway.router.catalogue.entries()[:1]
    assert (fake.key or "") not in repr(vars(backend.backend))


def test_what_openclaw_asks_never_comes_back_to_it(start_gateway: Start, fake: FakeServer) -> None:
    gateway = start_gateway()
    for model in (MODEL, "auto"):
        reply = ask(gateway, model=model, headers={"x-lightphon-client": "openclaw"})
        assert reply.is_error
    assert fake.chats() == []
    assert ask(gateway).status_code == 200
