"""A backend's bytes as checked chunks. What no honest backend sends ends the attempt here."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from lightphon_core.errors import Overloaded, Refused, TimedOut, Unavailable
from lightphon_core.openai.chunks import BadChunk, Chunk, Done, UpstreamError, read
from lightphon_core.openai.request import InferenceRequest
from lightphon_core.openai.sse import EventTooLarge, Splitter
from lightphon_core.openai.vectors import Wanted, read_vectors

Batch = list[Chunk]
"""Chunks that were ready together."""


async def checked(raw: AsyncGenerator[bytes, None], request: InferenceRequest) -> AsyncGenerator[Batch, None]:
    """The chunks of one answer, in batches as they arrive; vectors are one. Closing `raw` is the caller's business.

    Raises what `raw` raises, and `Unavailable` for what is not part of this answer. Whether the answer is complete is
    for the reader of the chunks to say.
    """
    if request.vectors is not None:
        yield [_vectors(await _whole(raw, request.vectors.max_bytes), request.vectors)]
        return
    splitter = Splitter()
    async for data in raw:
        batch, done = _read(splitter, data, request)
        if batch:
            yield batch
        if done:
            return
    batch, _ = _read(splitter, None, request)
    if batch:
        yield batch


def _read(splitter: Splitter, data: bytes | None, request: InferenceRequest) -> tuple[Batch, bool]:
    """The chunks that `data` (None: the end) completes, and whether the upstream said that it is done."""
    batch: Batch = []
    try:
        for payload in splitter.end() if data is None else splitter.feed(data):
            match read(payload, form=request.form, tools=request.tools, n=request.n):
                case Chunk() as chunk:
                    batch.append(chunk)
                case UpstreamError() as error:
                    raise _failure(error)
                case Done():
                    return batch, True
    except (BadChunk, EventTooLarge) as error:
        raise Unavailable("The node's answer could not be read.") from error
    return batch, False


async def _whole(raw: AsyncGenerator[bytes, None], limit: int) -> bytes:
    body = bytearray()
    async for data in raw:
        body += data
        if len(body) > limit:
            raise Unavailable("The node's answer is too large.")
    return bytes(body)


def _vectors(body: bytes, wanted: Wanted) -> Chunk:
    try:
        answer = read_vectors(body, wanted)
    except BadChunk as error:
        raise Unavailable("The node's answer could not be read.") from error
    if isinstance(answer, UpstreamError):
        raise _failure(answer)
    return answer


def _failure(error: UpstreamError) -> Refused | Overloaded | TimedOut | Unavailable:
    """What an error inside a stream means. Its text stays behind: it may hold anything."""
    match error.status:
        case 400 | 413 | 422:
            return Refused("The model refused the request.")
        case 429 | 503:
            return Overloaded("The node is overloaded.")
        case 408 | 504:
            return TimedOut(
                "The node did not answer in time. Ask for fewer tokens (max_tokens), or try a smaller model."
            )
        case _:
            return Unavailable("The node failed while it answered.")
