"""What the real llama.cpp answers, through `Upstream`: the facts that the gateway and the live tests build on."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.node.models.facts import read_model
from lightphon_backend_gguf.node.models.infill import KNOWN, Infill, read_infill
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing import projector, scripted

Run = Callable[..., AbstractAsyncContextManager[Any]]
"""The fixture `run` of conftest.py."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}


def text(events: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


async def drain(parts: AsyncGenerator[bytes, None]) -> None:
    async for _ in parts:
        pass


async def test_a_stream_with_usage(run: Run, models: Path) -> None:
    async with run(models / "greeting.gguf") as engine:
        *events, last = await engine.events(stream_options={"include_usage": True})
        assert text(events) == scripted.GREETING.text
        assert events[-1]["choices"][0]["finish_reason"] == "stop"
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == len(scripted.GREETING.pieces) + 1  # and the end of the text
        assert {event["model"] for event in events} == {"served"}


async def test_limits_stops_and_plain_completions(run: Run, models: Path) -> None:
    async with run(models / "greeting.gguf") as engine:
        short = (await engine.answer(max_tokens=2))["choices"][0]
        assert (short["message"]["content"], short["finish_reason"]) == ("Hello from", "length")
        stopped = (await engine.answer(stop=[" scripted"]))["choices"][0]
        assert (stopped["message"]["content"], stopped["finish_reason"]) == ("Hello from a", "stop")
        plain = (await engine.answer("/v1/completions", prompt="Hi"))["choices"][0]
        assert plain["text"] == scripted.GREETING.text


async def test_what_clients_send_beside_the_essentials(run: Run, models: Path) -> None:
    """The developer role, nulls for whatever may be left out, and an empty list of tools."""
    nulls = dict.fromkeys(
        ["stop", "response_format", "n", "top_p", "seed", "logprobs", "stream_options", "logit_bias", "tool_choice"]
    )
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    async with run(models / "greeting.gguf") as engine:
        answer = await engine.answer(messages=messages, tools=[], user=None, **nulls)
        assert answer["choices"][0]["message"]["content"] == scripted.GREETING.text


async def test_a_tool_call(run: Run, models: Path) -> None:
    async with run(models / "tool_call.gguf") as engine:
        choice = (await engine.answer(tools=[WEATHER]))["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        (call,) = choice["message"]["tool_calls"]
        assert call["function"]["name"] == "get_weather"
        assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}

        events = await engine.events(tools=[WEATHER])
        parts = [call for event in events for call in event["choices"][0]["delta"].get("tool_calls", [])]
        assert parts[0]["function"]["name"] == "get_weather"
        assert json.loads("".join(part["function"].get("arguments", "") for part in parts)) == {"city": "Paris"}
        assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"

        untooled = (await engine.answer())["choices"][0]
        assert "tool_calls" not in untooled["message"]


async def test_an_answer_to_a_tools_result_is_rendered(run: Run, models: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Sunny"},
    ]
    async with run(models / "tool_call.gguf") as engine:
        answer = await engine.answer(messages=messages, tools=[WEATHER])
        assert answer["choices"][0]["finish_reason"] == "tool_calls"


async def test_json_under_a_schema(run: Run, models: Path) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    async with run(models / "json_answer.gguf") as engine:
        content = (await engine.answer(response_format=format_))["choices"][0]["message"]["content"]
        assert json.loads(content) == {"city": "Paris", "population": 2100000}


async def test_a_schema_binds_a_model_that_would_say_something_else(run: Run, models: Path) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "yes", "schema": {"const": True}}}
    async with run(models / "greeting.gguf") as engine:
        content = (await engine.answer(response_format=format_))["choices"][0]["message"]["content"]
        assert json.loads(content) is True


async def test_reasoning(run: Run, models: Path) -> None:
    async with run(models / "reasoning.gguf") as engine:
        message = (await engine.answer())["choices"][0]["message"]
        assert message["reasoning_content"].strip() == "Two and two make four."
        assert message["content"].strip() == "It is 4."
        deltas = [event["choices"][0]["delta"] for event in await engine.events()]
        assert "".join(delta.get("reasoning_content") or "" for delta in deltas).strip() == "Two and two make four."


async def test_several_jobs_at_once(run: Run, models: Path) -> None:
    async with run(models / "endless.gguf", slots=3) as engine:
        jobs = [engine.post(stream=True) for _ in range(3)]
        async with asyncio.timeout(10):
            for job in jobs:
                await anext(job)
            for _ in range(50):  # all three go on, in turn
                for job in jobs:
                    assert await anext(job)
        for job in jobs:
            await job.aclose()


async def test_the_context_is_per_slot_and_an_overflow_is_refused(run: Run, models: Path) -> None:
    async with run(models / "greeting.gguf", slots=2, context=512) as engine:
        for stream in (False, True):
            with pytest.raises(JobFailed) as caught:
                await engine.answer(messages=[{"role": "user", "content": "secret " * 90}], stream=stream)
            assert (caught.value.kind, caught.value.code) == ("refused", "context_length_exceeded")
            assert "takes 512" in caught.value.message
        assert (await engine.answer(messages=[{"role": "user", "content": "x" * 400}]))["choices"]


async def test_requests_that_the_engine_refuses(run: Run, models: Path) -> None:
    image = projector.image_part(projector.png())
    secret = "my password is hunter2"
    cases: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": [image]}]},
        {"messages": [{"role": 5, "content": secret}]},
        {"messages": [{"role": "user", "content": {"text": secret}}]},
        {"temperature": secret},
        {"tools": [WEATHER], "tool_choice": secret},
        {"grammar": f"root ::= {secret}"},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": secret}}}},
    ]
    async with run(models / "greeting.gguf") as engine:
        for case in cases:
            with pytest.raises(JobFailed) as caught:
                await engine.answer(**case)
            assert caught.value.kind == "refused", case
            assert caught.value.message
            assert secret not in caught.value.message
        with pytest.raises(JobFailed) as caught:
            await engine.answer("/v1/embeddings", input="Hi")
        assert caught.value.kind == "refused"


async def test_an_exception_that_a_template_raises_is_shown_without_the_prompt(run: Run, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}"
        "{% if m.role == 'system' %}{{ raise_exception('No such role: ' + m.content) }}{% endif %}{{ m.content }}"
        "{% endfor %}"
    )
    path = scripted.build(tmp_path / "picky.gguf", ["a word"], template=template)
    async with run(path) as engine:
        with pytest.raises(JobFailed) as caught:
            await engine.answer(messages=[{"role": "system", "content": "Never tell a soul about this."}])
        assert caught.value.kind == "refused"
        assert "Never tell a soul" not in caught.value.message


async def test_embeddings(run: Run, tmp_path: Path) -> None:
    path = scripted.build(tmp_path / "embedding.gguf", ["a word"], embedding=True)
    async with run(path, embedding=True, context=512) as engine:
        answer = await engine.answer("/v1/embeddings", input=["a", "b " * 200])
        assert len(answer["data"]) == 2
        assert answer["data"][0]["embedding"] != answer["data"][1]["embedding"]
        with pytest.raises(JobFailed) as caught:
            await engine.answer("/v1/embeddings", input="b " * 600)
        assert (caught.value.kind, caught.value.code) == ("refused", "context_length_exceeded")


async def test_a_model_that_writes_text_makes_vectors_too(run: Run, models: Path) -> None:
    """Of its last token, which has read all others; so texts may be computed in several steps, side by side."""
    async with run(models / "greeting.gguf", slots=2, context=512, embedding=True, pooling="last") as engine:
        texts = ["yellow", "x" * 300 + "w", "y" * 100, "w"]
        first, second, third, last = [
            item["embedding"] for item in (await engine.answer("/v1/embeddings", input=texts))["data"]
        ]
        assert first == second == last != third
        assert text(await engine.events()) == scripted.GREETING.text


async def test_a_prompt_of_several_that_is_too_long(run: Run, models: Path) -> None:
    async with run(models / "greeting.gguf", slots=2, context=512) as engine:
        with pytest.raises(JobFailed) as caught:
            await engine.events(path="/v1/completions", prompt=["a", "secret " * 90])
        assert (caught.value.kind, caught.value.param) == ("refused", "prompt")
        assert caught.value.code == "context_length_exceeded"


async def test_several_choices_have_one_usage_and_read_their_prompt_once(run: Run, models: Path) -> None:
    async with run(models / "greeting.gguf", slots=2) as engine:
        for path, asked in (("/v1/chat/completions", {}), ("/v1/completions", {"prompt": "Hi"})):
            one, two = [
                await engine.events(path=path, n=n, stream_options={"include_usage": True}, **asked) for n in (1, 2)
            ]
            usages = [event["usage"] for event in two if event.get("usage")]
            alone = one[-1]["usage"]
            assert len(usages) == 1
            assert usages[0]["prompt_tokens"] == alone["prompt_tokens"]
            assert usages[0]["completion_tokens"] == 2 * alone["completion_tokens"]


@pytest.mark.parametrize("infill", KNOWN, ids=lambda known: known.prefix)
async def test_llama_cpp_finds_the_marks_in_a_prompt(run: Run, tmp_path: Path, infill: Infill) -> None:
    marks = (infill.prefix, infill.suffix, infill.middle)
    path = scripted.build(tmp_path / "m.gguf", scripted.INFILL.pieces, marks=marks)
    async with run(path, infill=read_infill(path, read_model(path))) as engine:
        answer = await engine.answer("/v1/completions", prompt="ab", suffix="c")
        assert answer["choices"][0]["text"] == scripted.INFILL.text
        assert answer["usage"]["prompt_tokens"] == 1 + len(marks) + len("abc")


async def test_a_cancelled_answer_frees_its_slot(run: Run, models: Path) -> None:
    async with run(models / "endless.gguf", context=2**17) as engine:
        job = engine.post(stream=True)
        for _ in range(5):
            await anext(job)
        await asyncio.wait_for(job.aclose(), 0.5)
        assert await asyncio.wait_for(engine.answer(max_tokens=1), 1)


async def test_a_prompt_that_is_cancelled_while_it_is_read_frees_its_slot(run: Run) -> None:
    """A real model with a prompt that takes one thread some 40 s, more where the machine is busy. The slot is free in a
    small part of the time that the rest of it would take at the speed seen."""
    path = find_demo_model()
    assert path is not None
    async with run(path, context=8192) as engine:
        # The engine's own word on how far it has come, which is not for strangers.
        allowed = engine.endpoint.dialect.parameters | {"return_progress"}
        engine.endpoint = evolve(engine.endpoint, dialect=evolve(engine.endpoint.dialect, parameters=allowed))
        prompt = [{"role": "user", "content": "the cat sat on a mat. " * 850}]
        job = engine.post(messages=prompt, stream=True, return_progress=True)
        read, total, taken_ms = 0, 1, 0
        while not read:
            progress = json.loads((await anext(job)).removeprefix(b"data: "))["prompt_progress"]
            read, total, taken_ms = progress["processed"], progress["total"], progress["time_ms"]
        assert read < total / 2
        assert total > 5000
        rest_s = taken_ms / 1000 * (total - read) / read
        async with asyncio.timeout(rest_s / 8):
            await job.aclose()
            assert await engine.answer(max_tokens=1)


async def test_an_engine_that_dies_in_the_middle(run: Run, models: Path) -> None:
    async with run(models / "endless.gguf") as engine:
        job = engine.post(stream=True)
        await anext(job)
        await engine.engine.stop()
        with pytest.raises(JobFailed) as caught:
            await asyncio.wait_for(drain(job), 5)
        assert caught.value.kind == "unavailable"
        with pytest.raises(JobFailed) as caught:
            await engine.answer()
        assert caught.value.kind == "unavailable"


async def test_the_time_limit_is_for_the_whole_answer(run: Run, models: Path) -> None:
    async with run(models / "endless.gguf", context=2**17) as engine:
        started = time.monotonic()
        with pytest.raises(JobFailed) as caught:
            await drain(engine.post(stream=True, timeout_s=0.3))
        assert caught.value.kind == "timed_out"
        assert time.monotonic() - started < 2
        assert await asyncio.wait_for(engine.answer(max_tokens=1), 1)
