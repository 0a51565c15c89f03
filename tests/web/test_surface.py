"""What an OpenAI client sees: the official SDK and plain HTTP against a live server with a scripted backend."""

import json
import threading
from collections.abc import AsyncGenerator

import httpx
import openai
import pytest

from lightphon_core import Authenticator, Capability, Job, Model, Overloaded, Refused, TimedOut, Unavailable
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event, says, usage

HELLO = [{"role": "user", "content": "Hello!"}]
BODY = {"model": "auto", "messages": HELLO}


def ask(running, body=None, *, path="/v1/chat/completions", key=None, **options):
    headers = {"authorization": f"Bearer {key or running.api_key}"}
    content = body if isinstance(body, bytes) else json.dumps(body or BODY).encode()
    return httpx.post(running.url + path, content=content, headers=headers, timeout=30, **options)


def events(text: str) -> list:
    payloads = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


class TestModels:
    def test_auto_comes_first_and_ids_may_have_slashes(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("x"), models=["zeta", Model("Owner/Repo-GGUF")])))
        client = running.openai()
        assert [model.id for model in client.models.list()] == ["auto", "Owner/Repo-GGUF", "zeta"]
        assert client.models.retrieve("Owner/Repo-GGUF").id == "Owner/Repo-GGUF"
        assert client.models.retrieve("auto").id == "auto"
        with pytest.raises(openai.NotFoundError) as missing:
            client.models.retrieve("nobody/has-it")
        assert missing.value.code == "model_not_found"

    def test_a_model_leaves_with_its_last_node(self, start_server):
        backend = ScriptedBackend(says("x"))
        running = start_server(plugin_of(backend))
        assert len(running.openai().models.list().data) == 2
        backend.online = False
        backend.changed()
        assert [model.id for model in running.openai().models.list()] == ["auto"]

    def test_every_place_answers(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("x"))))
        for prefix in ("/v1", "", f"/api/agent/{running.agent_token}/v1", f"/api/agent/{running.agent_token}"):
            key = "anything" if "agent" in prefix else None
            assert ask(running, path=f"{prefix}/chat/completions", key=key).status_code == 200, prefix
            headers = {"authorization": f"Bearer {key or running.api_key}"}
            for path in ("/models", "/models/test-model"):
                assert httpx.get(running.url + prefix + path, headers=headers).status_code == 200, prefix + path


class TestAnswers:
    def test_whole(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("Hel", "lo"))))
        answer = running.openai().chat.completions.create(model="auto", messages=HELLO)
        assert answer.choices[0].message.content == "Hello"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "test-model"
        assert answer.usage.completion_tokens == 2
        assert answer.routing_info["backend"] == "scripted"
        assert answer.id.startswith("chatcmpl-")

    def test_streamed_and_every_chunk_has_a_choice(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("Hel", "lo"))))
        stream = running.openai().chat.completions.create(model="auto", messages=HELLO, stream=True)
        chunks = list(stream)
        assert "".join(each.choices[0].delta.content or "" for each in chunks) == "Hello"
        assert len({(each.id, each.model, each.created) for each in chunks}) == 1
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert chunks[-1].usage.total_tokens == 5
        assert chunks[-1].routing_info["node_name"] == "scripted-node"
        assert all(each.usage is None for each in chunks[:-1])

    def test_include_usage_adds_the_chunk_without_choices_and_usage_is_there_alone(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("Hi"))))
        body = {**BODY, "stream": True, "stream_options": {"include_usage": True}}
        *_, finish, extra, done = events(ask(running, body).text)
        counted = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        free = {"cost_msat": 0, "cost": "0", "cost_currency": "sat"}
        assert finish["choices"][0]["finish_reason"] == "stop"
        assert "usage" not in finish
        assert extra["usage"] == counted | free
        assert extra["choices"] == []
        assert finish["routing_info"] == extra["routing_info"]
        assert extra["routing_info"]["attempts"] == 1
        assert done == "[DONE]"

    def test_the_client_holds_the_first_chunk_before_the_last_is_made(self, start_server):
        released = threading.Event()

        async def reply(job: Job) -> AsyncGenerator[bytes, None]:
            import asyncio

            yield chunk({"content": "first"})
            assert await asyncio.to_thread(released.wait, 20)
            yield chunk({"content": "last"}, finish="stop")

        running = start_server(plugin_of(ScriptedBackend(reply)))
        stream = running.openai().chat.completions.create(model="auto", messages=HELLO, stream=True)
        assert next(stream).choices[0].delta.content == "first"
        released.set()
        assert next(stream).choices[0].delta.content == "last"

    def test_several_choices(self, start_server):
        async def reply(job: Job) -> AsyncGenerator[bytes, None]:
            yield chunk({"content": "a"}, index=0) + chunk({"content": "b"}, index=1)
            yield chunk(finish="stop", index=0)
            yield chunk({"content": "B"}, index=1) + chunk(finish="length", index=1) + usage(1, 3)

        running = start_server(plugin_of(ScriptedBackend(reply)))
        answer = running.openai().chat.completions.create(model="auto", messages=HELLO, n=2)
        assert [(each.message.content, each.finish_reason) for each in answer.choices] == [
            ("a", "stop"),
            ("bB", "length"),
        ]

    def test_what_reaches_the_backend(self, start_server):
        backend = ScriptedBackend(says("x"))
        running = start_server(plugin_of(backend))
        ask(
            running,
            {**BODY, "temperature": 0.5, "brand_new": {"a": [1]}, "max_tokens": 9, "n_predict": 5, "user": "me"},
        )
        sent = json.loads(backend.jobs[0].body)
        assert sent["model"] == "test-model"
        assert sent["stream"] is True
        assert sent["stream_options"] == {"include_usage": True}
        assert sent["max_tokens"] == backend.jobs[0].max_output_tokens == 5
        assert sent["brand_new"] == {"a": [1]}
        assert not {"n_predict", "user"} & sent.keys()

    def test_usage_is_never_above_what_was_relayed(self, start_server):
        async def reply(job: Job) -> AsyncGenerator[bytes, None]:
            yield chunk({"content": "four"}) + chunk(finish="stop") + usage(10**9, 10**9)

        running = start_server(plugin_of(ScriptedBackend(reply)))
        counted = running.openai().chat.completions.create(model="auto", messages=HELLO).usage
        assert counted.completion_tokens <= 4
        assert counted.prompt_tokens < 500


FORGERIES = {
    "newlines in a payload": (
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}\ndata: \ndata: }],"id":"\\n\\ndata: FORGED"}\n\n'
    ),
    "usage of its own": event({"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": {"cost": "FORGED"}}),
    "an error beside choices": event(
        {"choices": [{"index": 0, "delta": {"content": "x"}}], "error": {"message": "FORGED"}}
    ),
    "routing_info": event({"choices": [{"index": 0, "delta": {"content": "x"}}], "routing_info": {"node": "FORGED"}}),
    "an early [DONE]": event("[DONE]") + chunk({"content": "FORGED"}),
    "tool calls that were not offered": chunk(
        {"tool_calls": [{"index": 0, "id": "FORGED", "function": {"name": "rm", "arguments": "{}"}}]}
    ),
    "another id, model and created": event(
        {"id": "FORGED", "model": "FORGED", "created": 7, "choices": [{"index": 0, "delta": {"content": "x"}}]}
    ),
    "a choice after its end": chunk(finish="stop") + chunk({"content": "FORGED"}),
    "a choice that was not asked for": chunk({"content": "FORGED"}, index=1),
    "an event name": b"event: FORGED\nid: FORGED\nretry: 1\n" + chunk({"content": "x"}),
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES.keys())
@pytest.mark.parametrize("stream", [True, False])
def test_no_forgery_of_a_backend_reaches_a_client(start_server, forged, stream):
    async def reply(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"content": "begin"})
        yield forged
        yield chunk(finish="stop") + usage(1, 1) + event("[DONE]")

    running = start_server(plugin_of(ScriptedBackend(reply)))
    text = ask(running, {**BODY, "stream": stream}).text
    assert "FORGED" not in text
    if stream:
        seen = events(text)
        assert text.count("data: [DONE]") == (1 if seen[-1] == "[DONE]" else 0)
        assert "begin" in text
        # Either the stream goes on to a clean end, or it ends in an error of ours; never both.
        failed = [each for each in seen if each != "[DONE]" and "error" in each]
        assert bool(failed) != (seen[-1] == "[DONE]")
        assert all(
            each["id"].startswith("chatcmpl-") and each["model"] == "test-model" for each in seen if each != "[DONE]"
        )


class TestErrors:
    CASES = (
        ("not json", b"{", 400, None),
        ("empty", b"", 400, None),
        ("twice", b'{"model":"auto","model":"auto","messages":[{"role":"user","content":"x"}]}', 400, "model"),
        ("wrong type", {**BODY, "temperature": "hot"}, 400, "temperature"),
        ("no messages", {"model": "auto"}, 400, "messages"),
        ("empty messages", {"model": "auto", "messages": []}, 400, "messages"),
        ("zero tokens", {**BODY, "max_tokens": 0}, 400, "max_tokens"),
        ("too long", {"model": "auto", "messages": [{"role": "user", "content": "x" * 100_000}]}, 400, "messages"),
        (
            "image to a text model",
            {
                "model": "test-model",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
                    }
                ],
            },
            400,
            None,
        ),
        ("unknown model", {**BODY, "model": "gpt-9"}, 404, "model"),
    )

    def test_requests_that_are_wrong(self, start_server):
        backend = ScriptedBackend(says("x"))
        running = start_server(plugin_of(backend))
        for name, body, status, param in self.CASES:
            reply = ask(running, body)
            error = reply.json()["error"]
            assert (reply.status_code, error["type"]) == (status, "invalid_request_error"), name
            assert error["message"], name
            assert error["param"] == param or param is None, name
            assert reply.headers["x-request-id"].startswith("req_"), name
        assert backend.jobs == []

    def test_lenient_where_clients_are(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("x"))))
        body = {
            "model": "auto",
            "messages": [{"role": "developer", "content": "Be brief."}, *HELLO],
            "tools": [],
            "temperature": None,
            "stop": None,
            "max_tokens": None,
            "stream": None,
        }
        assert ask(running, body).status_code == 200

    def test_keys(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("x"))))
        wrong = [
            httpx.post(f"{running.url}/v1/chat/completions", json=BODY),
            ask(running, key="sk-foreign"),
            ask(running, key=running.api_key[:-1] + ("a" if running.api_key[-1] != "a" else "b")),
            ask(running, path="/api/agent/at_wrong/v1/chat/completions"),
            httpx.get(f"{running.url}/v1/models"),
        ]
        for reply in wrong:
            assert reply.status_code == 401, reply.text
            assert reply.json()["error"]["code"] == "invalid_api_key"
        for misplaced, words in (
            (ask(running, key=running.agent_token), "belongs in the base URL: /api/agent/at_.../v1"),
            (ask(running, path=f"/api/agent/{running.api_key}/v1/chat/completions"), "leave it out of the URL"),
        ):
            assert (misplaced.status_code, words in misplaced.json()["error"]["message"]) == (401, True)
        assert ask(running, key=running.node_token).status_code == 403
        with pytest.raises(openai.AuthenticationError):
            running.openai(api_key="nope").models.list()

    def test_the_body_limit_comes_after_the_key(self, start_server):
        from lightphon_core.settings import ServerSettings

        running = start_server(plugin_of(ScriptedBackend(says("x"))), server=ServerSettings(max_body_bytes=1000))
        large = json.dumps({**BODY, "messages": [{"role": "user", "content": "x" * 2000}]}).encode()
        assert ask(running, large, key="sk-wrong").status_code == 401
        for body in (large, iter([large[:900], large[900:]])):
            headers = {"authorization": f"Bearer {running.api_key}"}
            reply = httpx.post(f"{running.url}/v1/chat/completions", content=body, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")
            assert "1000 bytes" in reply.json()["error"]["message"]

    def test_no_node_online(self, start_server):
        backend = ScriptedBackend(says("x"))
        running = start_server(plugin_of(backend))
        running.openai().models.list()
        backend.online = False
        backend.changed()
        for model in ("auto", "test-model"):
            reply = ask(running, {**BODY, "model": model})
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no_nodes_available")
            assert int(reply.headers["retry-after"]) >= 1

    def test_a_slow_node_is_a_504_that_sdks_do_not_retry(self, start_server):
        async def reply(job: Job) -> AsyncGenerator[bytes, None]:
            import asyncio

            await asyncio.Event().wait()
            yield b""

        backend = ScriptedBackend(reply)
        running = start_server(plugin_of(backend), limits={"first_output_timeout_s": 0.1})
        with pytest.raises(openai.InternalServerError) as slow:
            running.openai(max_retries=2).chat.completions.create(model="auto", messages=HELLO)
        assert (slow.value.status_code, slow.value.code) == (504, "inference_timeout")
        assert len(backend.jobs) == len(backend.closed) == 1

    def test_no_balance_is_a_plain_status_error(self, start_server):
        from lightphon_core import InsufficientBalance

        class Broke(Authenticator):
            name = "broke"

            async def authenticate(self, credentials):
                raise InsufficientBalance("The wallet is 5 sats short.")

        running = start_server(plugin_of(Broke()))
        with pytest.raises(openai.APIStatusError) as broke:
            running.openai(api_key="other").models.list()
        assert type(broke.value) is openai.APIStatusError
        assert (broke.value.status_code, broke.value.code) == (402, "insufficient_balance")

    def test_unknown_paths_and_methods(self, start_server):
        running = start_server()
        missing = httpx.get(f"{running.url}/v1/nothing")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_url")
        assert httpx.get(f"{running.url}/v1/chat/completions").status_code == 405
        hidden = httpx.get(f"{running.url}/api/agent/{running.agent_token}/nothing")
        assert running.agent_token not in hidden.text

    def test_a_fault_of_ours_is_a_500_in_the_same_shape(self, start_server):
        class Faulty(Authenticator):
            name = "faulty"

            async def authenticate(self, credentials):
                raise RuntimeError("not the client's business")

        running = start_server(plugin_of(ScriptedBackend(says("x")), Faulty()))
        reply = ask(running, key="unknown")
        assert reply.status_code == 500
        assert reply.json()["error"]["type"] == "server_error"
        assert "business" not in reply.text

    def test_browsers_of_every_origin_may_call(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("x"))))
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        headers = {**asked, "access-control-request-headers": "authorization,content-type,x-stainless-lang"}
        preflight = httpx.options(f"{running.url}/v1/chat/completions", headers=headers)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in preflight.headers


FAILURES = {
    "refused": (Refused("No.", param="top_k", code="odd"), 400, "odd"),
    "overloaded": (Overloaded("Full.", retry_after=7), 503, "no_nodes_available"),
    "unavailable": (Unavailable("Gone."), 503, "no_nodes_available"),
    "timed out": (TimedOut("Slow."), 504, "inference_timeout"),
    "anything else": (RuntimeError("a plugin's fault"), 503, "no_nodes_available"),
}


@pytest.mark.parametrize(("error", "status", "code"), FAILURES.values(), ids=FAILURES.keys())
class TestBackendFailures:
    def test_before_the_first_output_the_status_tells(self, start_server, error, status, code):
        async def reply(job: Job) -> AsyncGenerator[bytes, None]:
            yield chunk({"role": "assistant"})
            raise error

        running = start_server(plugin_of(ScriptedBackend(reply)), limits={"queue_s": 0})
        for stream in (True, False):
            answer = ask(running, {**BODY, "stream": stream})
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert "plugin's fault" not in answer.text
            if isinstance(error, Overloaded):
                assert answer.headers["retry-after"] == "7"

    def test_after_it_the_stream_ends_in_an_error_and_no_done(self, start_server, error, status, code):
        async def reply(job: Job) -> AsyncGenerator[bytes, None]:
            yield chunk({"content": "begun"})
            raise error

        running = start_server(plugin_of(ScriptedBackend(reply)), limits={"queue_s": 0})
        first, last = events(ask(running, {**BODY, "stream": True}).text)
        assert first["choices"][0]["delta"]["content"] == "begun"
        assert last["choices"][0]["finish_reason"] == "error"
        assert last["error"]["code"] == code
        assert ask(running, BODY).status_code == status


def test_what_an_upstream_calls_a_time_out_says_what_to_do(start_server):
    async def reply(job: Job) -> AsyncGenerator[bytes, None]:
        yield event({"error": {"message": "not for clients", "code": 504}})

    error = ask(start_server(plugin_of(ScriptedBackend(reply)))).json()["error"]
    assert error["code"] == "inference_timeout"
    assert "max_tokens" in error["message"]
    assert "smaller model" in error["message"]


def test_an_upstream_that_just_ends_is_an_error(start_server):
    async def reply(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"content": "begun"})

    running = start_server(plugin_of(ScriptedBackend(reply)))
    with pytest.raises(openai.APIError):
        list(running.openai().chat.completions.create(model="auto", messages=HELLO, stream=True))


def test_before_the_first_output_another_offer_is_tried(start_server):
    async def dies(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"role": "assistant", "content": ""})
        raise Unavailable("Gone.")

    able = frozenset({Capability.CHAT})
    broken = ScriptedBackend(dies, name="a_broken", models=[Model("m", able)], slots=64)
    healthy = ScriptedBackend(says("ok"), name="b_healthy", models=[Model("m", able)], slots=1)
    running = start_server(plugin_of(broken, healthy))
    answer = running.openai().chat.completions.create(model="m", messages=HELLO)
    assert (answer.choices[0].message.content, answer.routing_info["attempts"]) == ("ok", 2)
    # What failed lately counts as load: the next request goes to the healthy one first.
    for _ in range(40):
        running.openai().chat.completions.create(model="m", messages=HELLO)
    assert len(broken.jobs) < 40
    healthy.reply = says("never")
    broken.reply = healthy.reply

    async def refuses(job: Job) -> AsyncGenerator[bytes, None]:
        raise Refused("No.")
        yield b""

    broken.reply = healthy.reply = refuses
    before = len(broken.jobs) + len(healthy.jobs)
    assert ask(running, {**BODY, "model": "m"}).status_code == 400
    assert len(broken.jobs) + len(healthy.jobs) == before + 1
