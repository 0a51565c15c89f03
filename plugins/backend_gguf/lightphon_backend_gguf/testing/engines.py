"""What every engine of a node must do, asked through the node's own guard. Needs `gguf` and `pytest-asyncio`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from attrs import frozen

from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.protocol.messages import JobFailed
from lightphon_backend_gguf.testing import scripted

PATIENCE_S = 60.0
"""How long one answer may take."""
CANCEL_S = 2.0
"""How long a cancelled answer may keep its slot."""

CONTEXT = 512
LONG = 2**17
CHAT = "/v1/chat/completions"


class Bench(Protocol):
    """What a test file gives the suite. `slots` is how many answers the engine makes at once."""

    slots: int

    def engine(self, path: Path, *, context: int) -> Engine:
        """An engine, not started, for the model file at `path`, which may be broken; `context` tokens a request."""


@frozen
class Rig:
    """What a check works with: the engines under test, and a folder for model files."""

    bench: Bench
    folder: Path

    def write(self, script: scripted.Script) -> Path:
        """A model file that loads in every engine."""
        return script.write(self.folder / "model.gguf", context=LONG)

    @asynccontextmanager
    async def running(
        self, script: scripted.Script = scripted.GREETING, *, path: Path | None = None, context: int = CONTEXT
    ) -> AsyncGenerator[Asked, None]:
        """A started engine with a model that says what the script does."""
        engine = self.bench.engine(path or self.write(script), context=context)
        async with _within(PATIENCE_S, "an engine starts"):
            endpoint = await engine.start()
        try:
            async with Upstream() as upstream:
                yield Asked(engine, endpoint, upstream)
        finally:
            await engine.stop()


@frozen
class Asked:
    """A started engine, and what a check asks of it. Requests are greedy unless they say otherwise."""

    engine: Engine
    endpoint: Endpoint
    upstream: Upstream

    def post(self, path: str = CHAT, **body: Any) -> AsyncGenerator[bytes, None]:
        """The bytes of an answer."""
        content = {"messages": [{"role": "user", "content": "Hi"}]} if path == CHAT else {}
        sent = json.dumps({"model": "of the gateway", "temperature": 0, "stream": True, **content, **body}).encode()
        return self.upstream.post(self.endpoint, path, sent, timeout_s=PATIENCE_S)

    async def events(self, path: str = CHAT, **body: Any) -> list[Any]:
        """The decoded events of a streamed answer that was ended properly."""
        async with _within(PATIENCE_S, "an answer ends"), aclosing(self.post(path, **body)) as parts:
            text = b"".join([part async for part in parts]).decode()
        *events, done = [event.removeprefix("data: ") for event in text.replace("\r", "").split("\n\n") if event]
        assert done == "[DONE]", "a streamed answer ends with [DONE]"
        return [json.loads(event) for event in events]

    async def says(self, path: str = CHAT, **body: Any) -> tuple[str, str | None]:
        """The text of an answer, and its finish reason."""
        return _said(await self.events(path, **body))

    async def refusal(self, **body: Any) -> JobFailed:
        """Why the engine does not take a request."""
        failed = await _raised(JobFailed, self.events(**body), "such a request is refused")
        assert failed.kind == "refused", f"what is the request's fault is refused, not {failed.kind}"
        return failed


async def check_stream(rig: Rig) -> None:
    """A chat comes piece by piece, in whole characters, and ends with one finish reason."""
    async with rig.running() as engine:
        events = await engine.events()
        assert _said(events) == (scripted.GREETING.text, "stop"), "an answer is the model's own text"
        assert sum(bool(_text(event)) for event in events) > 1, "a streamed answer comes in several pieces"


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
            text, _ = await engine.says("/v1/completions", prompt="Hi")
            assert text == scripted.GREETING.text, "a completion is the model's own text"


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


async def check_cancel(rig: Rig) -> None:
    """Closing an answer, or cancelling who reads it, frees its slot."""
    async with rig.running(scripted.ENDLESS, context=LONG) as engine:
        for first in (True, *[False] * rig.bench.slots):
            parts = engine.post()
            async with _within(PATIENCE_S if first else CANCEL_S, "an answer begins, in the slot of a closed one"):
                for _ in range(4):
                    await anext(parts)
            async with _within(CANCEL_S, "an answer that is closed ends at once"):
                await parts.aclose()
        async with _within(CANCEL_S, "the slot of a closed answer is free again"):
            await engine.says(max_tokens=1)


async def check_overflow(rig: Rig) -> None:
    """A prompt that is longer than the context is refused, by name, and the engine goes on."""
    async with rig.running() as engine:
        for stream in (True, False):
            secret = [{"role": "user", "content": "secret " * 2 * CONTEXT}]
            failed = await engine.refusal(messages=secret, stream=stream)
            assert failed.code == "context_length_exceeded", "a prompt that is too long is context_length_exceeded"
            assert "secret secret" not in failed.message, "a refusal does not quote the prompt"
        assert await engine.says() == (scripted.GREETING.text, "stop"), "the engine goes on after a refusal"


async def check_broken_files(rig: Rig) -> None:
    """A file that is missing, truncated or corrupt is one clear error, and nothing else suffers."""
    whole = rig.write(scripted.GREETING).read_bytes()
    cases = {"missing": None, "truncated": whole[:-1000], "headless": whole[:2000], "corrupt": b"hello" * 1000}
    async with rig.running() as healthy:
        for name, content in cases.items():
            path = rig.folder / f"{name}.gguf"
            if content is not None:
                path.write_bytes(content)
            engine = rig.bench.engine(path, context=CONTEXT)
            async with _within(PATIENCE_S, f"an engine with a {name} file gives up"):
                error = await _raised(EngineError, engine.start(), f"an engine with a {name} file does not start")
            assert str(path) in str(error), "the error names the file"
            assert "\n" not in str(error), "the error is one line"
            await engine.stop()
        assert await healthy.says() == (scripted.GREETING.text, "stop"), "another engine goes on meanwhile"


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


async def check_what_clients_send(rig: Rig) -> None:
    """The developer role, nulls for whatever may be left out, and contents in parts."""
    names = "stop response_format n top_p seed logprobs stream_options logit_bias tools max_tokens"
    nulls: dict[str, Any] = dict.fromkeys(names.split())
    parts = [{"type": "text", "text": "Hi"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts, "name": None}]
    async with rig.running() as engine:
        said = await engine.says(messages=messages, **nulls)
        assert said == (scripted.GREETING.text, "stop"), "what clients send beside the essentials changes nothing"


async def check_roles(rig: Rig) -> None:
    """Templates that know no developer get a system message instead."""
    template = (
        "{% for m in messages %}"
        "{% if m.role not in ['system', 'user', 'assistant'] %}{{ raise_exception('No such role') }}{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    path = scripted.build(rig.folder / "picky.gguf", scripted.GREETING.pieces, template=template, context=LONG)
    async with rig.running(path=path) as engine:
        said = await engine.says(messages=[{"role": "developer", "content": "Hi"}])
        assert said == (scripted.GREETING.text, "stop"), "the developer's message is a system message"
        await engine.refusal(messages=[{"role": "wizard", "content": "Hi"}])


async def check_parameters_off_the_list(rig: Rig) -> None:
    """What is not on the engine's list does not reach it."""
    off: dict[str, Any] = {"n_predict": 1, "max_new_tokens": 1, "id_slot": 77, "chat_template": "{{ 1 / 0 }}", "x": "y"}
    async with rig.running() as engine:
        unknown = {name: value for name, value in off.items() if name not in engine.engine.dialect.parameters}
        assert unknown == off, f"{sorted(set(off) - set(unknown))} should not be on the engine's list"
        assert await engine.says(**off) == (scripted.GREETING.text, "stop"), "parameters off the list change nothing"


async def check_features(rig: Rig) -> None:
    """What the engine says that it cannot do is refused by name; what it says it can, is taken."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    asked: dict[Feature, dict[str, Any]] = {
        Feature.TOOLS: {"tools": [tool]},
        Feature.JSON: {"response_format": {"type": "json_object"}},
        Feature.LOGPROBS: {"logprobs": True},
    }
    if rig.bench.slots > 1:
        asked[Feature.CHOICES] = {"n": 2}
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/x.png"}}
    async with rig.running() as engine:
        for feature, body in asked.items():
            if feature in engine.engine.dialect.features:
                await engine.events(max_tokens=4, **body)
            else:
                failed = await engine.refusal(**body)
                assert failed.param in body, f"a refusal for want of {feature} names the parameter"
        await engine.refusal(messages=[{"role": "user", "content": [image]}])


async def check_end(rig: Rig) -> None:
    """An engine that ends says so in a few words; stopping twice does no harm; what is asked later is unavailable."""
    async with rig.running() as engine:
        exited = asyncio.create_task(engine.engine.exited())
        await engine.engine.stop()
        async with _within(PATIENCE_S, "exited() returns when the engine is stopped"):
            how = await exited
        assert how, "exited() says how"
        assert "\n" not in how, "exited() says it on one line"
        await engine.engine.stop()
        failed = await _raised(JobFailed, engine.events(), "an engine that has ended answers no more")
        assert failed.kind == "unavailable", "an engine that has ended is unavailable"


Raised = TypeVar("Raised", bound=Exception)


async def _raised(kind: type[Raised], work: Awaitable[object], promise: str) -> Raised:
    """What the work raises."""
    try:
        await work
    except kind as error:
        return error
    raise AssertionError(promise)


def _said(events: list[Any]) -> tuple[str, str | None]:
    choices = [choice for event in events for choice in event["choices"]]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    assert len(reasons) == 1, "an answer ends with one finish_reason"
    return "".join(map(_text, events)), reasons[0]


def _text(event: Any) -> str:
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in event["choices"])


@asynccontextmanager
async def _within(seconds: float, promise: str) -> AsyncGenerator[None, None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise AssertionError(f"{promise}; it did not within {seconds:g} s") from None


Check = Callable[[Rig], Awaitable[None]]
CHECKS: list[Check] = [
    check_stream,
    check_unstreamed,
    check_completion,
    check_usage,
    check_limit,
    check_stop,
    check_seed,
    check_cancel,
    check_overflow,
    check_broken_files,
    check_concurrent,
    check_what_clients_send,
    check_roles,
    check_parameters_off_the_list,
    check_features,
    check_end,
]


class EngineContract:
    """Subclass it in a test file, and give the fixture `bench`."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(self, check: Check, bench: Bench, tmp_path: Path) -> None:
        """One promise of an engine."""
        await check(Rig(bench, tmp_path))
