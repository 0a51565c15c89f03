"""What an engine has to do with plain texts: continue them, fill in what is missing, make vectors of them."""

from __future__ import annotations

from operator import mul
from typing import Any

from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.testing import scripted
from lightphon_backend_gguf.testing.engine_rig import (
    CONTEXT,
    LONG,
    PLAIN,
    Check,
    Rig,
    choices_of,
    said,
    vectors_of,
)

NO_TEXTS: list[Any] = [[1, 2], [[1, 2]], [], {"prompt_string": "Hi"}, [{"prompt_string": "Hi"}], 5]
"""What llama.cpp's server takes for a prompt as well: token ids, and objects which may hold pictures."""


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


CHECKS: list[Check] = [
    check_completion,
    check_prompts,
    check_infill,
    check_embeddings,
]
