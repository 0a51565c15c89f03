"""What somebody may have meant by a field or a value that is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import msgspec


def meant(kind: Any, path: str, unknown: str) -> str:
    """Sentences that say which fields there are at `path` in `kind`, a type of msgspec's, and which is the nearest to
    `unknown`; empty where it has none."""
    structs = (each for each in _at(kind, path) if isinstance(each, msgspec.inspect.StructType))
    known = [field.encode_name for each in structs for field in each.fields]
    if not known:
        return ""
    nearest = difflib.get_close_matches(unknown[:64].lower(), known, n=1)
    question = f"Did you mean '{nearest[0]}'? " if nearest else ""
    return f" {question}There are: {', '.join(known)}."


def accepted(kind: Any, path: str) -> str:
    """The values that are enumerated at `path` in `kind`, with commas; empty where none are."""
    enums = (each for each in _at(kind, path) if isinstance(each, msgspec.inspect.EnumType))
    return ", ".join(str(value.value) for each in enums for value in each.cls)


def _at(kind: Any, path: str) -> Iterator[msgspec.inspect.Type]:
    return _inside(msgspec.inspect.type_info(kind), path.split(".") if path else [])


def _inside(kind: msgspec.inspect.Type, path: list[str]) -> Iterator[msgspec.inspect.Type]:
    match kind:
        case msgspec.inspect.UnionType():
            for each in kind.types:
                yield from _inside(each, path)
        case msgspec.inspect.ListType():
            yield from _inside(kind.item_type, path)
        case msgspec.inspect.Metadata():
            yield from _inside(kind.type, path)
        case msgspec.inspect.StructType() if path:
            name = path[0].partition("[")[0]
            for field in kind.fields:
                if field.encode_name == name:
                    yield from _inside(field.type, path[1:])
        case _ if not path:
            yield kind
