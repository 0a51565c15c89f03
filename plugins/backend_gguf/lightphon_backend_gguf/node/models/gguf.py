"""Reads the header of a GGUF file: metadata and tensor table, never the tensors; a vocabulary is for `vocabulary`.

Pure: it takes an open binary file and trusts none of it. Every length is checked against what is left of the file
before it is read or skipped, so that a truncated or hostile header gives one `GgufError` in bounded time and memory.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

import io
import struct
from collections.abc import Collection, Mapping
from math import prod
from typing import BinaryIO

from attrs import field, frozen

Scalar = int | float | bool | str
Value = Scalar | tuple[Scalar, ...]

MAX_KEPT_ARRAY = 64
"""Longer arrays are vocabularies and the like; they are stepped over."""

_MAX_STRING = 16 * 2**20
_MAX_STRINGS = 8 * 2**20
_MAX_ENTRIES = 2**20
_MAX_DIMENSIONS = 4
_CHUNK = 2**20

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U64 = _SCALARS[10]

TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
}
"""ggml's tensor types: name, elements in a block, bytes in a block (ggml/src/ggml-common.h)."""


class GgufError(Exception):
    """The file is not a GGUF file, or is damaged, or ends too early. The message is one line for the operator."""


@frozen
class Tensor:
    """One row of the tensor table. `offset` is in bytes from the start of the data; `kind` is ggml's type number."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def size(self) -> int | None:
        """In bytes; None for a type that is newer than this table."""
        if self.kind not in TENSOR_TYPES:
            return None
        _, block, size = TENSOR_TYPES[self.kind]
        return -(-self.elements // block) * size


@frozen
class Array:
    """A long array that was stepped over: the number of its type, how many values, and the bytes where they are."""

    kind: int
    count: int
    start: int
    end: int


@frozen
class Header:
    """What a GGUF file says of itself. `data_start` is where the tensors begin, in bytes. `arrays` are those that are
    not in `metadata`, all of which lie within the file."""

    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_start: int
    arrays: Mapping[str, Array] = field(factory=dict)

    @property
    def end(self) -> int:
        """The least size in bytes of a complete file."""
        return max((self.data_start + t.offset + (t.size or 0) for t in self.tensors), default=self.data_start)


def read_header(file: BinaryIO, *, keep: Collection[str] = ()) -> Header:
    """Read the header of a seekable file, and check that the file holds all of its tensors. GgufError if not.

    `keep` are keys whose arrays are kept however long they are.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    cursor = _Cursor(file, size)
    if size < len(b"GGUF") or cursor.take(4) != b"GGUF":
        raise GgufError("This is not a GGUF file.")
    version = cursor.u32()
    if version not in (2, 3):
        raise GgufError("This GGUF file is big-endian or of a version other than 2 and 3.")
    tensors, entries = cursor.u64(), cursor.u64()
    if tensors > _MAX_ENTRIES or entries > _MAX_ENTRIES:
        raise GgufError("The GGUF header is damaged: it announces more entries than any model has.")
    metadata: dict[str, Value] = {}
    arrays: dict[str, Array] = {}
    for _ in range(entries):
        key, value = _entry(cursor, keep)
        if isinstance(value, Array):
            arrays[key] = value
        else:
            metadata[key] = value
    table = tuple(_tensor(cursor) for _ in range(tensors))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= _CHUNK:
        raise GgufError("The GGUF header is damaged: the alignment of its tensors is out of range.")
    header = Header(metadata, table, -(-cursor.position // alignment) * alignment, arrays)
    if table and header.end > size:
        raise GgufError(f"The GGUF file is incomplete: it has {size:,} of at least {header.end:,} bytes.")
    return header


class _Cursor:
    """Reads forward through a file of known size, a chunk at a time."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._buffer = b""
        self._at = 0
        self._buffer_start = 0

    @property
    def position(self) -> int:
        return self._buffer_start + self._at

    def _need(self, count: int) -> None:
        """Have the next `count` bytes in the buffer."""
        if count <= len(self._buffer) - self._at:
            return
        self._check(count)
        self._buffer_start += self._at
        rest = self._buffer[self._at :]
        self._buffer = rest + self._file.read(max(count - len(rest), _CHUNK))
        self._at = 0
        if len(self._buffer) < count:
            raise GgufError("The GGUF file shrank while it was read.")

    def _check(self, count: int) -> None:
        if count > self._size - self.position:
            raise GgufError("The GGUF file is incomplete or damaged: its header reaches past the end of the file.")

    def take(self, count: int) -> bytes:
        self._need(count)
        self._at += count
        return self._buffer[self._at - count : self._at]

    def skip(self, count: int) -> None:
        if count <= len(self._buffer) - self._at:
            self._at += count
            return
        self._check(count)
        target = self.position + count
        self._file.seek(target)
        self._buffer, self._at, self._buffer_start = b"", 0, target

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self.string()
        if kind not in _SCALARS:
            raise GgufError(f"The GGUF header is damaged: there is no value type {kind}.")
        form = _SCALARS[kind]
        value: int | float | bool = form.unpack(self.take(form.size))[0]
        return value

    def string(self) -> str:
        length = self.u64()
        if length > _MAX_STRING:
            raise GgufError("The GGUF header is damaged: a text in it is too long.")
        return self.take(length).decode("utf-8", "replace")

    def skip_strings(self, count: int) -> None:
        """Step over `count` strings. The hot loop of the reader: a vocabulary has some hundred thousand."""
        if count > _MAX_STRINGS:
            raise GgufError("The GGUF header is damaged: an array in it is too long.")
        self._check(count * _U64.size)
        unpack = _U64.unpack_from
        while count:
            buffer, at, end = self._buffer, self._at, len(self._buffer) - _U64.size
            while count and at <= end:
                after = at + _U64.size + unpack(buffer, at)[0]
                if after > end:
                    break
                at = after
                count -= 1
            self._at = at
            if count:
                self.skip(self.u64())
                count -= 1


def _entry(cursor: _Cursor, keep: Collection[str]) -> tuple[str, Value | Array]:
    """The next key and its value, or where an array is that is too long to keep."""
    key, kind = cursor.string(), cursor.u32()
    if kind != _ARRAY:
        return key, cursor.scalar(kind)
    kind, count = cursor.u32(), cursor.u64()
    if count > _MAX_STRINGS and key in keep:
        raise GgufError("The GGUF header is damaged: an array in it is too long.")
    if count <= MAX_KEPT_ARRAY or key in keep:
        return key, tuple(cursor.scalar(kind) for _ in range(count))
    start = cursor.position
    if kind == _STRING:
        cursor.skip_strings(count)
    elif kind in _SCALARS:
        cursor.skip(count * _SCALARS[kind].size)
    else:
        raise GgufError(f"The GGUF header is damaged: there is no array of type {kind}.")
    return key, Array(kind, count, start, cursor.position)


def _tensor(cursor: _Cursor) -> Tensor:
    name, dimensions = cursor.string(), cursor.u32()
    if dimensions > _MAX_DIMENSIONS:
        raise GgufError("The GGUF header is damaged: a tensor has too many dimensions.")
    shape = tuple(cursor.u64() for _ in range(dimensions))
    return Tensor(name, shape, kind=cursor.u32(), offset=cursor.u64())
