"""What an engine has to do with the requests that it takes."""

from __future__ import annotations

import asyncio
import json
from operator import mul
from typing import Any

from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing import scripted
from lightphon_backend_gguf.testing.engine_rig import (
    CANCEL_S,
    CONTEXT,
    LONG,
    PATIENCE_S,
    PLAIN,
    Check,
    Rig,
    choices_of,
    said,
    text_of,
    vectors_of,
    within,
)

NO_TEXTS: list[Any] = [[1, 2], [[1, 2]], [], {"prompt_string": "Hi"}, [{"prompt_string": "Hi"}], 5]
"""What llama.cpp's server takes for a prompt as well: token ids, and objects which may hold pictures."""


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


async def check_completion(rig: Rig) -> None:
    """Plain text is continued."""
    async with rig.running() as engine:
        if Feature.COMPLETION in engine.engine.dialect.features:
            text, _ = await engine.says(PLAIN, prompt="Hi")
            assert text == scripted.GREETING.text, "a completion is the model's own text"


async def check_prompts(rig: Rig) -> None:
    """A prompt may be a list: its only text is that text, and as many as there are slots get a choice each."""
    slots = rig.bench.slots
    async with rig.running() as engine:
        if Feature.COMPLETION not in engine.engine.dialect.features:
            return
        assert await engine.says(PLAIN, prompt=["Hi"]) == (scripted.GREETING.text, "stop"), "a list of one is a prompt"
        failed = await engine.refusal(PLAIN, prompt=["Hi"] * (slots + 1))
        assert failed.param == "prompt", "a refusal of too many prompts names the parameter"
        for rubbish in NO_TEXTS:
            failed = await engine.refusal(PLAIN, prompt=rubbish)
            assert failed.param == "prompt", "a refusal of what is no text names the parameter"
        if Feature.CHOICES in engine.engine.dialect.features:
            events = await engine.events(
                PLAIN, prompt=["Hi", *["Hello"] * (slots - 1)], stream_options={"include_usage": True}
            )
            assert choices_of(events) == [(scripted.GREETING.text, "stop")] * slots, "each prompt has its own choice"
            usages = [event["usage"] for event in events if event.get("usage")]
            assert len(usages) == 1, "an answer has one usage, however many choices it has"
            assert events[-1] == {**events[-1], "choices": [], "usage": usages[0]}, "usage comes last, and alone"
            alone = (await engine.events(PLAIN, prompt="Hi", stream_options={"include_usage": True}))[-1]["usage"]
            assert usages[0]["prompt_tokens"] > alone["prompt_tokens"], "usage counts the tokens of all prompts"
            assert usages[0]["completion_tokens"] == slots * alone["completion_tokens"], "and of all choices"


async def check_infill(rig: Rig) -> None:
    """What stands between a prompt and its suffix is written, or such a request is refused; plain prompts are not
    changed."""
    async with rig.running(scripted.INFILL) as engine:
        asked: dict[str, Any] = {"prompt": "def f():", "suffix": "return x"}
        if Feature.INFILL not in engine.engine.dialect.features:
            failed = await engine.refusal(PLAIN, **asked)
            assert (failed.param, failed.code) == ("suffix", "unsupported_parameter"), "a refusal names the parameter"
            return
        events = await engine.events(PLAIN, **asked, stream_options={"include_usage": True})
        assert said(events) == (scripted.INFILL.text, "stop"), "the model fills in"
        plain = await engine.events(PLAIN, prompt="def f():return x", stream_options={"include_usage": True})
        assert said(plain) == ("", "stop"), "without a suffix nothing is filled in"
        marks = events[-1]["usage"]["prompt_tokens"] - plain[-1]["usage"]["prompt_tokens"]
        assert marks == len(scripted.INFILL.marks), "each mark is one token, and nothing else is added"
        assert await engine.says(PLAIN, prompt="Hi", suffix="") == ("", "stop"), "an empty suffix is none"
        text, _ = await engine.says(PLAIN, prompt="", suffix="x")
        assert text == scripted.INFILL.text, "the prompt may be empty"


async def check_embeddings(rig: Rig) -> None:
    """Each text becomes a vector of length 1, in order; or such a request is refused."""
    path = scripted.build(rig.folder / "embedding.gguf", ["a word"], embedding=True, context=LONG)
    async with rig.running(path=path) as engine:
        texts = ["a", "b", "a", "ab", *map(str, range(60))]
        if Feature.EMBEDDING not in engine.engine.dialect.features:
            failed = await engine.refusal("/v1/embeddings", input=texts)
            assert (failed.param, failed.code) == ("input", "unsupported_parameter"), "a refusal names the parameter"
            return
        answer = await engine.embeds(texts)
        first, second, third, both, *_ = vectors = vectors_of(answer)
        assert len(vectors) == len(texts), "each text has a vector"
        assert first == third, "the same text is the same vector"
        assert first != second, "another text is another vector"
        for vector in vectors:
            assert abs(sum(value * value for value in vector) - 1) < 1e-3, "a vector has the length 1"
        assert sum(map(mul, first, both)) > sum(map(mul, first, second)), "a text is nearer to one that it is part of"
        assert answer["usage"]["prompt_tokens"] >= len(texts), "usage counts the tokens of all texts"
        for rubbish in NO_TEXTS:
            failed = await engine.refusal("/v1/embeddings", input=rubbish)
            assert failed.param == "input", "a refusal of what is no text names the parameter"
        failed = await engine.refusal("/v1/embeddings", input=["a", "secret " * 2 * CONTEXT])
        assert (failed.param, failed.code) == ("input", "context_length_exceeded"), "a text may be too long"
        assert "secret" not in failed.message, "a refusal does not quote the input"
        assert vectors_of(await engine.embeds(["a"])) == [first], "the engine goes on after a refusal"


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
    check_completion,
    check_prompts,
    check_infill,
    check_embeddings,
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
