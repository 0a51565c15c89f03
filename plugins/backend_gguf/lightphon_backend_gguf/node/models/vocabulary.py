"""Single tokens out of the vocabulary of a GGUF file: by their text, or by their id."""

import struct
from collections.abc import Collection
from typing import BinaryIO

from attrs import frozen

from lightphon_backend_gguf.node.models.gguf import GgufError, Header

TOKENS = "tokenizer.ggml.tokens"
KINDS = "tokenizer.ggml.token_type"

CONTROL, USER_DEFINED = 3, 4
"""Kinds of tokens that an engine finds in a text as they stand, before anything else is made of it (enum
llama_token_type in llama.cpp's include/llama.h)."""

_LONGEST = 256 * 2**20
_STRING = 8
_U64 = struct.Struct("<Q")
_I32 = struct.Struct("<i")


@frozen
class Token:
    """One entry of a vocabulary. `kind` is None where the file does not tell."""

    id: int
    text: str
    kind: int | None


def look_up(
    file: BinaryIO, header: Header, *, texts: Collection[str] = (), ids: Collection[int] = ()
) -> tuple[Token, ...]:
    """The tokens with these texts or these ids, in the order of their ids; those that are not there are left out.

    `header` was read from the same file. A vocabulary of fewer tokens than `MAX_KEPT_ARRAY` has none. GgufError if the
    file has changed.
    """
    array = header.arrays.get(TOKENS)
    if array is None or array.kind != _STRING or array.end - array.start > _LONGEST:
        return ()
    entries = _read(file, array.start, array.end - array.start)
    wanted = {text.encode() for text in texts}
    # Most tokens are told apart by their length alone, without making a copy of each.
    lengths, unpack, end, found = {len(text) for text in wanted}, _U64.unpack_from, 0, []
    try:
        for number in range(array.count):
            start = end + _U64.size
            end = start + unpack(entries, end)[0]
            if (end - start in lengths and entries[start:end] in wanted) or number in ids:
                found.append(Token(number, entries[start:end].decode("utf-8", "replace"), _kind(file, header, number)))
    except (struct.error, OverflowError):
        raise GgufError("The GGUF file changed while it was read.") from None
    return tuple(found)


def _kind(file: BinaryIO, header: Header, number: int) -> int | None:
    array = header.arrays.get(KINDS)
    if array is None or array.end - array.start != array.count * _I32.size or number >= array.count:
        return None
    kind: int = _I32.unpack(_read(file, array.start + number * _I32.size, _I32.size))[0]
    return kind


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    data = file.read(size)
    if len(data) < size:
        raise GgufError("The GGUF file changed while it was read.")
    return data
