"""What every answer has, whatever it is: an id of its own, and, where a model answered, what it took and cost."""

import json

import httpx
import pytest

from lightphon_core import Capability, Job, Model, Price, Unavailable
from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, says

HELLO = [{"role": "user", "content": "Hello!"}]
CHAT = ("/v1/chat/completions", {"model": "m", "messages": HELLO})
PLAIN = ("/v1/completions", {"model": "m", "prompt": "Hello"})
INFILL = ("/v1/fim/completions", {"model": "m", "prompt": "a", "suffix": "b"})
VECTORS = ("/v1/embeddings", {"model": "e", "input": ["one", "two"]})
ABLE = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.INFILL, Capability.CHOICES})
MODELS = [Model("m", ABLE, 4096), Model("e", frozenset({Capability.EMBEDDING}), 512)]


@pytest.fixture
def backend():
    return ScriptedBackend(says("Hel", "lo"), models=MODELS, price=Price(per_request=1_500))


@pytest.fixture
def running(start_server, backend):
    running = start_server(plugin_of(backend), limits={"requests_per_minute": 600, "queue_s": 0})
    with running.server.database.transaction() as connection:
        account = get_account(connection, "test")
        carry_out(connection, [adjustment.credit(account.id, 100_000, "to spend")])
    return running


def post(running, path, body, **more):
    headers = {"authorization": f"Bearer {running.api_key}"}
    return httpx.post(running.url + path, json={**body, **more}, headers=headers, timeout=30)


def last(answer):
    """The body of a whole answer; of a stream the last chunk that is one."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return answer.json()
    payloads = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert payloads.pop() == "[DONE]"
    return json.loads(payloads[-1])


ANSWERS = {
    "chat": (*CHAT, {}),
    "chat stream": (*CHAT, {"stream": True}),
    "chat stream that asks for usage": (*CHAT, {"stream": True, "stream_options": {"include_usage": True}}),
    "chat stream that asks for none": (*CHAT, {"stream": True, "stream_options": {"include_usage": False}}),
    "completion": (*PLAIN, {}),
    "completion stream": (*PLAIN, {"stream": True}),
    "infill": (*INFILL, {}),
    "infill stream": (*INFILL, {"stream": True}),
    "vectors": (*VECTORS, {}),
    "vectors in base64": (*VECTORS, {"encoding_format": "base64"}),
}


@pytest.mark.parametrize(("path", "body", "more"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_says_what_it_took_and_cost_and_what_is_left(running, path, body, more):
    answer = post(running, path, body, **more)
    assert answer.status_code == 200, answer.text
    usage = last(answer)["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage.get("completion_tokens", 0)
    assert (usage["cost_msat"], usage["cost"], usage["cost_currency"]) == (1_500, "1.5", "sat")
    assert answer.headers["x-ratelimit-limit-requests"] == "600"
    assert answer.headers["x-ratelimit-remaining-requests"] == "599"
    assert answer.headers["x-ratelimit-reset-requests"] == "100ms"


def test_an_answer_without_text_says_it_too(running, backend):
    backend.reply = says()
    for stream in (False, True):
        usage = last(post(running, *CHAT, stream=stream))["usage"]
        assert usage["completion_tokens"] == 0


def test_every_answer_has_an_id_that_is_in_the_log(running, backend, caplog):
    """Whole or streamed, refused or failed, before its first output and after."""

    async def breaks(job: Job):
        yield chunk({"content": "begun"})
        raise Unavailable("Gone.")

    async def fails(job: Job):
        raise Unavailable("Gone.")
        yield b""

    answers = [post(running, *CHAT, stream=stream) for stream in (False, True)]
    answers += [post(running, *request) for request in (PLAIN, INFILL, VECTORS)]
    answers += [
        post(running, *CHAT, n="two"),
        post(running, *CHAT, model="e"),
        post(running, *CHAT, model="nobody"),
        post(running, *CHAT, messages=[{"role": "user", "content": "x" * 100_000}]),
        post(running, "/v1/responses", {}),
        httpx.get(running.url + CHAT[0]),
        httpx.get(f"{running.url}/v1/models"),
        httpx.get(f"{running.url}/healthz"),
    ]
    for reply, stream in ((breaks, True), (fails, True), (fails, False)):
        backend.reply = reply
        answers.append(post(running, *CHAT, stream=stream))
    running.server.gateway.limiter = None  # a fault of ours
    answers.append(post(running, *CHAT))
    statuses = [200, 200, 200, 200, 200, 400, 400, 404, 400, 404, 405, 401, 200, 200, 503, 503, 500]
    assert [answer.status_code for answer in answers] == statuses
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("req_") for each in ids)
    running.server.stop()
    logged = [record.msg["request_id"] for record in caplog.records if "request_id" in record.msg]
    assert sorted(logged) == sorted(ids)
