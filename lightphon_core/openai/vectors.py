"""The answer to an embeddings request: read whole, checked, and written again in the format that was asked for."""

from __future__ import annotations

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import frozen

from lightphon_core.errors import Refused
from lightphon_core.openai.choices import BadChunk
from lightphon_core.openai.chunks import Chunk, UpstreamError, claimed_usage, extras, upstream_error

MAX_BYTES = 67_108_864
"""The most that the answer of a backend may have."""
MAX_VECTOR_BYTES = 393_216
"""The most of one vector in it: 16,384 numbers as text. Reading what is longer would only keep the gateway busy."""
_BESIDES = 65_536


@frozen
class Wanted:
    """So many vectors, of so many dimensions (None: as many as the model gives), as base64 or as lists of numbers."""

    count: int
    base64: bool = False
    dimensions: int | None = None

    @property
    def max_bytes(self) -> int:
        """What the answer of a backend may have."""
        return min(MAX_BYTES, _BESIDES + self.count * MAX_VECTOR_BYTES)


class _Vector(msgspec.Struct):
    index: int
    embedding: str | list[float]


class _Body(msgspec.Struct):
    data: list[_Vector] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Body).decode


def read_vectors(body: bytes, wanted: Wanted) -> Chunk | UpstreamError:
    """A backend's whole answer as one chunk, whose `encoded` is the `data` that the client gets.

    Vectors are base64 of little-endian float32, or lists of numbers. Those that are longer than what is wanted are cut
    and brought back to length 1, as OpenAI's are: the first dimensions of such models tell most.

    Raises:
        BadChunk: Not one JSON object, a vector too few or too many, or one that is none.
        Refused: They have fewer dimensions than are wanted.
    """
    problem = False
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
        problem = True
    if problem:  # raised out here, so that no exception with the bytes in it hangs on to this one
        raise BadChunk("The answer is not one JSON object with vectors.")
    if answer.error:
        return upstream_error(answer.error)
    given = sorted(answer.data or (), key=lambda vector: vector.index)
    if [vector.index for vector in given] != list(range(wanted.count)):
        raise BadChunk("The vectors are not one for each input.")
    vectors = [_read(vector.embedding) for vector in given]
    dimensions = {len(vector) for vector in vectors}
    if len(dimensions) != 1 or 0 in dimensions:
        raise BadChunk("The vectors differ in length, or are empty.")
    most = dimensions.pop()
    if wanted.dimensions is not None and wanted.dimensions > most:
        message = f"This model's vectors have {most} dimensions: 'dimensions' can be at most that."
        raise Refused(message, param="dimensions")
    if wanted.dimensions is not None and wanted.dimensions < most:
        vectors = [_cut(vector, wanted.dimensions) for vector in vectors]
    data = [
        {"object": "embedding", "index": at, "embedding": _base64(vector) if wanted.base64 else vector.tolist()}
        for at, vector in enumerate(vectors)
    ]
    usage = None if answer.usage is None else claimed_usage(answer.usage)
    return Chunk([{"index": 0}], msgspec.json.encode(data), True, 0, {0: "stop"}, usage)


def write_vectors(data: bytes, model: str, usage: Mapping[str, object], routing_info: Mapping[str, object]) -> bytes:
    """The answer as one JSON object. `data` is that of `Chunk.encoded`. Usage has no completion here, as OpenAI's."""
    head = b'{"object":"list","model":%b,"data":' % msgspec.json.encode(model)
    counted = {name: value for name, value in usage.items() if name != "completion_tokens"}
    return b"".join((head, data, extras(counted, routing_info), b"}"))


def _read(embedding: str | list[float]) -> array[float]:
    vector = array("f")
    if isinstance(embedding, str):
        try:
            vector.frombytes(base64.b64decode(embedding, validate=True))
        except (binascii.Error, ValueError):
            raise BadChunk("A vector is not base64 of numbers.") from None
        _little_endian(vector)
    else:
        vector.extend(embedding)
    if not math.isfinite(sum(vector)):
        raise BadChunk("A vector has what is no number.")
    return vector


def _cut(vector: array[float], dimensions: int) -> array[float]:
    shorter = vector[:dimensions]
    length = math.sqrt(math.fsum(value * value for value in shorter))
    return array("f", (value / length for value in shorter)) if length else shorter


def _base64(vector: array[float]) -> str:
    _little_endian(vector)
    return base64.b64encode(vector.tobytes()).decode()


def _little_endian(vector: array[float]) -> None:
    """From the machine's byte order, or to it."""
    if sys.byteorder == "big":
        vector.byteswap()
