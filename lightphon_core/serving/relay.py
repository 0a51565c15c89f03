"""From an offer's chunks to the client's answer: what is counted, what is held back, and how it ends."""

from __future__ import annotations

from typing import Protocol

from attrs import define, field

from lightphon_core.errors import Unavailable
from lightphon_core.openai import sse
from lightphon_core.openai.assemble import Assembler
from lightphon_core.openai.chunks import Chunk, Envelope, usage_fields, write
from lightphon_core.serving.attempt import Started
from lightphon_core.serving.outlet import Outlet
from lightphon_core.types import Usage


@define
class Meter:
    """What the gateway itself saw of an answer. A node's claims can only lower what is counted.

    `chunks` and `text_bytes` are of chunks with output. No tokenizer makes a token of less than one byte, and no chunk
    carries less than one.
    """

    chunks: int = 0
    text_bytes: int = 0
    claimed: Usage | None = None

    def see(self, chunk: Chunk) -> None:
        """Count one chunk."""
        if chunk.has_output:
            self.chunks += 1
            self.text_bytes += chunk.text_bytes
        if chunk.usage is not None:
            self.claimed = chunk.usage

    def usage(self, *, most: int, prompt_bytes: int) -> Usage:
        """The tokens of the answer so far.

        `most` bounds the completion; the prompt has at most a token a byte of the body that was sent. Without a claim
        of the node's, each chunk counts as one token.
        """
        if self.claimed is None:
            return Usage(0, min(self.chunks, most))
        completion = min(self.claimed.completion_tokens, most, max(self.text_bytes, self.chunks))
        return Usage(min(self.claimed.prompt_tokens, prompt_bytes), completion)


class Sink(Protocol):
    """Where an answer goes."""

    def put(self, chunk: Chunk) -> None:
        """One chunk of it."""

    def finish(self, last: Chunk, usage: dict[str, object], routing_info: dict[str, object]) -> None:
        """Its last chunk, with what is known only now."""


@define
class StreamSink:
    """A streamed answer: each chunk is an event."""

    outlet: Outlet
    envelope: Envelope
    include_usage: bool

    def put(self, chunk: Chunk) -> None:
        self.outlet.write(write(chunk.encoded, self.envelope))

    def finish(self, last: Chunk, usage: dict[str, object], routing_info: dict[str, object]) -> None:
        end = write(last.encoded, self.envelope, usage=usage, routing_info=routing_info)
        if self.include_usage:
            # Only for those who asked: much client code reads choices[0] of every chunk.
            end += write(b"[]", self.envelope, usage=usage, routing_info=routing_info)
        self.outlet.write(end + sse.DONE)


@define
class WholeSink:
    """An unstreamed answer: `body` is there once it is finished."""

    envelope: Envelope
    assembler: Assembler = field(factory=Assembler)
    body: bytes = b""

    def put(self, chunk: Chunk) -> None:
        self.assembler.feed(chunk)

    def finish(self, last: Chunk, usage: dict[str, object], routing_info: dict[str, object]) -> None:
        self.assembler.feed(last)
        self.body = self.assembler.finish(self.envelope, usage, routing_info)


async def relay(started: Started, sink: Sink, meter: Meter, *, n: int, routing_info: dict[str, object]) -> None:
    """Pass the answer on to `sink` to its end, and count it.

    The latest chunk with a finish reason is held back until the upstream ends: usage and routing_info leave on it. What
    comes for a choice that has finished is dropped. Raises `Unavailable` where the upstream ends before all `n` choices
    have finished, and what `started.rest` raises.
    """
    held: Chunk | None = None
    finished: set[int] = set()
    batch = started.first
    while True:
        for chunk in batch:
            meter.see(chunk)
            if not chunk.choices or any(choice["index"] in finished for choice in chunk.choices):
                continue
            if held is not None:
                sink.put(held)
                held = None
            if chunk.finish_reasons:
                held = chunk
                finished.update(chunk.finish_reasons)
            else:
                sink.put(chunk)
        try:
            batch = await anext(started.rest)
        except StopAsyncIteration:
            break
    if held is None or len(finished) < n:
        raise Unavailable("The node broke off before the answer was complete.")
    usage = meter.usage(most=started.job.max_output_tokens * n, prompt_bytes=len(started.job.body))
    sink.finish(held, usage_fields(usage), routing_info)
