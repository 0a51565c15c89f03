"""llama.cpp says how much of a prompt it had read before, for whomever. No client is told."""

import json

from lightphon_backend_gguf.testing import scripted

PROMPT = "A long prompt that was asked before. " * 10


def test_cached_tokens_reach_nobody(greeter, monkeypatch):
    gateway = greeter.running.server.gateway
    (backend,) = {entry.backend for entry in gateway.catalogue.entries()}
    serve, raw = backend.serve, []

    async def tapped(job):
        async for data in serve(job):
            raw.append(data)
            yield data

    monkeypatch.setattr(backend, "serve", tapped)
    whole = [greeter.ask("auto", PROMPT) for _ in range(2)]
    streamed = list(greeter.ask("auto", PROMPT, stream=True, stream_options={"include_usage": True}))
    events = [line.removeprefix(b"data: ") for line in b"".join(raw).splitlines() if b'"usage"' in line]
    cached = [json.loads(event)["usage"]["prompt_tokens_details"]["cached_tokens"] for event in events]
    assert len(cached) == 3
    assert min(cached[1:]) > 0, "the engine no longer says what this test is about"

    assert whole[0].choices[0].message.content == scripted.GREETING.text
    usages = [answer.usage for answer in (*whole, *streamed) if answer.usage is not None]
    assert len(usages) == 3
    for usage in usages:
        assert usage.prompt_tokens_details is None
        shown = {"prompt_tokens", "completion_tokens", "total_tokens", "cost_msat", "cost", "cost_currency"}
        assert usage.model_dump(exclude_none=True).keys() == shown
    assert whole[0].usage == whole[1].usage  # nor does the count of the prompt tell
    for answer in (*whole, *streamed):
        assert "cached" not in answer.model_dump_json(exclude_none=True)
        assert "timings" not in answer.model_dump_json(exclude_none=True)
