"""What an engine has to do with the requests that it takes. Those that are no chats are in `engine_texts`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing import scripted
from lightphon_backend_gguf.testing.engine_rig import (
    CANCEL_S,
    LONG,
    PATIENCE_S,
    Check,
    Rig,
    said,
    text_of,
    within,
)


async def check_stream(rig: Rig) -> None:
    """A chat comes piece by piece, in whole characters, and ends with one finish reason."""
    async with rig.running() as engine:
        events = await engine.events()
        assert said(events) == (scripted.GREETING.text, "stop"), "an answer is the model's own text"
        assert sum(bool(text_of(event)) for event in events) > 1, "a streamed answer comes in several pieces"


async def check_unstreamed(rig: Rig) -> None:
    """The same in one piece, with usage."""
    async with rig.running() as engine:
        answer = json.loads(b"".join([part async for part in engine.post(stream=False)]))
        assert answer["choices"][0]["message"]["content"] == scripted.GREETING.text, "an answer is the model's own text"
        assert answer["usage"]["completion_tokens"] > 0, "an answer that is not streamed has usage"


async def check_usage(rig: Rig) -> None:
    """With include_usage the last event says what was read and written."""
    pieces = len(scripted.GREETING.pieces)
    async with rig.running() as engine:
        usage = (await engine.events(stream_options={"include_usage": True}))[-1].get("usage")
        assert usage, "include_usage was set, so the last event reports usage"
        assert usage["prompt_tokens"] > 0, "a prompt has tokens"
        # Whether the token that ends a text counts is left to the engine.
        assert usage["completion_tokens"] in (pieces, pieces + 1), "usage counts the tokens that were made"


async def check_limit(rig: Rig) -> None:
    """max_tokens ends an answer, and the finish reason says so."""
    async with rig.running() as engine:
        assert await engine.says(max_tokens=2) == ("Hello from", "length"), "max_tokens ends an answer with 'length'"


async def check_stop(rig: Rig) -> None:
    """A stop string ends an answer before itself, wherever pieces begin and end."""
    async with rig.running() as engine:
        for stop, text in (([" scripted"], "Hello from a"), (["never said", "om a scr"], "Hello fr")):
            assert await engine.says(stop=stop) == (text, "stop"), "a stop string ends the answer before itself"
        text, _ = await engine.says(stop=["mode!"])
        assert text == scripted.GREETING.text, "the beginning of a stop string is text like any other"


async def check_seed(rig: Rig) -> None:
    """The same seed gives the same text."""
    path = scripted.build(rig.folder / "random.gguf", scripted.ENDLESS.pieces, context=LONG, loop=True, certainty=0.02)
    async with rig.running(path=path) as engine:
        first, second, other = [await engine.says(seed=seed, temperature=1, max_tokens=24) for seed in (7, 7, 8)]
        assert first == second, "the same seed gives the same text"
        assert first != other, "another seed gives another text"


async def check_what_clients_send(rig: Rig) -> None:
    """The developer role, nulls for whatever may be left out, and contents in parts."""
    names = "stop response_format n top_p seed logprobs stream_options logit_bias tools max_tokens"
    nulls: dict[str, Any] = dict.fromkeys(names.split())
    parts = [{"type": "text", "text": "Hi"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts, "name": None}]
    async with rig.running() as engine:
        answer = await engine.says(messages=messages, **nulls)
        assert answer == (scripted.GREETING.text, "stop"), "what clients send beside the essentials changes nothing"


async def check_roles(rig: Rig) -> None:
    """Templates that know no developer get a system message instead."""
    template = (
        "{% for m in messages %}"
        "{% if m.role not in ['system', 'user', 'assistant'] %}{{ raise_exception('No such role') }}{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    path = scripted.build(rig.folder / "picky.gguf", scripted.GREETING.pieces, template=template, context=LONG)
    async with rig.running(path=path) as engine:
        answer = await engine.says(messages=[{"role": "developer", "content": "Hi"}])
        assert answer == (scripted.GREETING.text, "stop"), "the developer's message is a system message"
        await engine.refusal(messages=[{"role": "wizard", "content": "Hi"}])


async def check_concurrent(rig: Rig) -> None:
    """As many answers as there are slots come side by side, each whole; one more waits or is told to come back."""
    async with rig.running() as engine:
        answers = await asyncio.gather(*(engine.says() for _ in range(rig.bench.slots + 1)), return_exceptions=True)
        whole = [answer for answer in answers if answer == (scripted.GREETING.text, "stop")]
        assert len(whole) >= rig.bench.slots, "each slot gives a whole answer of its own"
        for answer in answers:
            if isinstance(answer, BaseException):
                assert isinstance(answer, JobFailed), f"one job too many does not raise {answer!r}"
                assert answer.kind == "overloaded", "one job too many is overloaded"


async def check_cancel(rig: Rig) -> None:
    """Closing an answer, or cancelling who reads it, frees its slot."""
    async with rig.running(scripted.ENDLESS, context=LONG) as engine:
        for first in (True, *[False] * rig.bench.slots):
            parts = engine.post()
            async with within(PATIENCE_S if first else CANCEL_S, "an answer begins, in the slot of a closed one"):
                for _ in range(4):
                    await anext(parts)
            async with within(CANCEL_S, "an answer that is closed ends at once"):
                await parts.aclose()
        async with within(CANCEL_S, "the slot of a closed answer is free again"):
            await engine.says(max_tokens=1)


async def check_features(rig: Rig) -> None:
    """What the engine says that it can do, it does: JSON of a schema, log probabilities, tools."""
    form = {"type": "json_schema", "json_schema": {"name": "yes", "schema": {"const": True}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    async with rig.running() as engine:
        features = engine.engine.dialect.features
        if Feature.JSON in features:
            answer, _ = await engine.says(response_format=form)
            assert answer.strip() == "true", "an answer keeps to the schema that was asked for"
        if Feature.LOGPROBS in features:
            choices = [choice for event in await engine.events(logprobs=True) for choice in event["choices"]]
            told = [token for choice in choices for token in (choice.get("logprobs") or {}).get("content", ())]
            assert "".join(token["token"] for token in told).startswith(scripted.GREETING.text), "each token is told of"
            assert all(token["logprob"] <= 0 for token in told), "log probabilities are at most zero"
        if Feature.TOOLS in features:
            await engine.events(tools=[tool], max_tokens=4)


async def check_choices(rig: Rig) -> None:
    """As many choices as there are slots come in one answer, each whole, though a slot be taken at first."""
    slots = rig.bench.slots
    async with rig.running() as engine:
        if Feature.CHOICES not in engine.engine.dialect.features:
            return
        assert slots > 1, "an engine with one slot does not say that it makes several choices"
        beside = engine.post()
        await anext(beside)
        answer = asyncio.create_task(engine.events(n=slots))
        async for _ in beside:
            pass
        texts = dict.fromkeys(range(slots), "")
        for choice in [choice for event in await answer for choice in event["choices"]]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
        assert set(texts.values()) == {scripted.GREETING.text}, "each choice is a whole answer"


CHECKS: list[Check] = [
    check_stream,
    check_unstreamed,
    check_usage,
    check_limit,
    check_stop,
    check_seed,
    check_cancel,
    check_concurrent,
    check_what_clients_send,
    check_roles,
    check_features,
    check_choices,
]
