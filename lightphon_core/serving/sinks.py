"""Where an answer goes: into a stream, chunk by chunk, or into one whole."""

from __future__ import annotations

from typing import Protocol

from attrs import define, field

from lightphon_core.openai import sse
from lightphon_core.openai.assemble import Assembler
from lightphon_core.openai.chunks import Chunk, Envelope, write
from lightphon_core.openai.vectors import write_vectors
from lightphon_core.serving.outlet import Outlet

DRAIN_S = 5.0
"""How long an answer waits to be charged for a client that reads slowly."""


class Sink(Protocol):
    """Takes an answer in order."""

    @property
    def delivered(self) -> bool:
        """Whether all that was put has left for the client."""

    async def drained(self) -> None:
        """Wait, within reason, until `delivered`."""

    def put(self, chunk: Chunk) -> None:
        """One chunk of the answer."""

    def end(self, last: Chunk) -> None:
        """Its last chunk, which leaves with what `finish` adds."""

    def finish(self, usage: dict[str, object], routing_info: dict[str, object]) -> None:
        """What is known only once the answer is charged."""


@define
class StreamSink:
    """A streamed answer: each chunk is an event."""

    outlet: Outlet
    envelope: Envelope
    include_usage: bool
    _last: bytes = field(default=b"[]", init=False)

    @property
    def delivered(self) -> bool:
        return self.outlet.is_empty

    async def drained(self) -> None:
        await self.outlet.drained(DRAIN_S)

    def put(self, chunk: Chunk) -> None:
        self.outlet.write(write(chunk.encoded, self.envelope))

    def end(self, last: Chunk) -> None:
        self._last = last.encoded

    def finish(self, usage: dict[str, object], routing_info: dict[str, object]) -> None:
        if self.include_usage:
            # Only for those who asked: much client code reads choices[0] of every chunk. And once: LangChain adds up
            # what it finds, and Continue takes a chunk with usage for the one without choices.
            end = write(self._last, self.envelope, routing_info=routing_info)
            end += write(b"[]", self.envelope, usage=usage, routing_info=routing_info)
        else:
            end = write(self._last, self.envelope, usage=usage, routing_info=routing_info)
        self.outlet.write(end + sse.DONE)


@define
class WholeSink:
    """An unstreamed answer: `body` is there once it is finished, and nothing is delivered before."""

    envelope: Envelope
    body: bytes = field(default=b"", init=False)
    delivered: bool = field(default=False, init=False)
    assembler: Assembler = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.assembler = Assembler(self.envelope.form)

    async def drained(self) -> None:
        return

    def put(self, chunk: Chunk) -> None:
        self.assembler.feed(chunk)

    def end(self, last: Chunk) -> None:
        self.assembler.feed(last)

    def finish(self, usage: dict[str, object], routing_info: dict[str, object]) -> None:
        self.body = self.assembler.finish(self.envelope, usage, routing_info)


@define
class VectorSink:
    """An answer of vectors, which comes as one chunk."""

    envelope: Envelope
    body: bytes = field(default=b"", init=False)
    delivered: bool = field(default=False, init=False)
    _data: bytes = field(default=b"[]", init=False)

    async def drained(self) -> None:
        return

    def put(self, chunk: Chunk) -> None:
        self._data = chunk.encoded

    def end(self, last: Chunk) -> None:
        self._data = last.encoded

    def finish(self, usage: dict[str, object], routing_info: dict[str, object]) -> None:
        self.body = write_vectors(self._data, self.envelope.model, usage, routing_info)
