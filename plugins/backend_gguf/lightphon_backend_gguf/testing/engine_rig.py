"""What the checks of engines work with: an engine that runs, and what is asked of it through the node's own guard."""

from __future__ import annotations

import asyncio
import json
import struct
from base64 import b64decode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar

from attrs import frozen

from lightphon_backend_gguf.node.engines.base import Engine
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
PLAIN = "/v1/completions"


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
        async with within(PATIENCE_S, "an engine starts"):
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
        sent = {"model": "of the gateway", **content, **body}
        if path != "/v1/embeddings":
            sent = {"temperature": 0, "stream": True, **sent}
        return self.upstream.post(self.endpoint, path, json.dumps(sent).encode(), timeout_s=PATIENCE_S)

    async def events(self, path: str = CHAT, **body: Any) -> list[Any]:
        """The decoded events of a streamed answer that was ended properly."""
        async with within(PATIENCE_S, "an answer ends"), aclosing(self.post(path, **body)) as parts:
            text = b"".join([part async for part in parts]).decode()
        *events, done = [event.removeprefix("data: ") for event in text.replace("\r", "").split("\n\n") if event]
        assert done == "[DONE]", "a streamed answer ends with [DONE]"
        return [json.loads(event) for event in events]

    async def says(self, path: str = CHAT, **body: Any) -> tuple[str, str | None]:
        """The text of an answer, and its finish reason."""
        return said(await self.events(path, **body))

    async def embeds(self, texts: list[str]) -> Any:
        """The decoded answer to a request for the vectors of some texts, as the core asks for them."""
        parts = self.post("/v1/embeddings", input=texts, encoding_format="base64")
        async with within(PATIENCE_S, "an answer ends"), aclosing(parts):
            return json.loads(b"".join([part async for part in parts]))

    async def refusal(self, path: str = CHAT, **body: Any) -> JobFailed:
        """Why the engine does not take a request."""
        failed = await raised(JobFailed, self.events(path, **body), "such a request is refused")
        assert failed.kind == "refused", f"what is the request's fault is refused, not {failed.kind}"
        return failed


Raised = TypeVar("Raised", bound=Exception)


async def raised(kind: type[Raised], work: Awaitable[object], promise: str) -> Raised:
    """What the work raises."""
    try:
        await work
    except kind as error:
        return error
    raise AssertionError(promise)


def said(events: list[Any]) -> tuple[str, str | None]:
    """The text of a streamed answer with one choice, and its finish reason."""
    choices = [choice for event in events for choice in event["choices"]]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    assert len(reasons) == 1, "an answer ends with one finish_reason"
    return "".join(map(text_of, events)), reasons[0]


def choices_of(events: list[Any]) -> list[tuple[str, str]]:
    """The text and the finish reason of each choice of a streamed plain completion, in order."""
    choices = sorted((choice for event in events for choice in event["choices"]), key=lambda choice: choice["index"])
    found: list[tuple[str, str]] = []
    for index, parts in groupby(choices, key=lambda choice: choice["index"]):
        assert index == len(found), "choices are numbered from 0"
        text, reasons = "", []
        for part in parts:
            text += part["text"]
            reasons += [part["finish_reason"]] if part.get("finish_reason") else []
        assert len(reasons) == 1, "each choice ends with one finish_reason"
        found.append((text, reasons[0]))
    return found


def vectors_of(answer: Any) -> list[tuple[float, ...]]:
    """The vectors of an answer, in the order of the texts: of base64 (little-endian 32-bit floats), or lists."""
    found = sorted(answer["data"], key=lambda item: item["index"])
    assert [item["index"] for item in found] == list(range(len(found))), "vectors are numbered from 0"
    return [_vector(item["embedding"]) for item in found]


def _vector(value: Any) -> tuple[float, ...]:
    if isinstance(value, str):
        data = b64decode(value, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    return tuple(value)


def text_of(event: Any) -> str:
    """The text in one event."""
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in event["choices"])


@asynccontextmanager
async def within(seconds: float, promise: str) -> AsyncGenerator[None, None]:
    """AssertionError, with the promise, if the block takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise AssertionError(f"{promise}; it did not within {seconds:g} s") from None


Check = Callable[[Rig], Awaitable[None]]
