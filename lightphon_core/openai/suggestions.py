"""What somebody may have meant by a field that is none."""

from __future__ import annotations

import difflib
from typing import Any

import msgspec


def meant(kind: Any, path: str, unknown: str) -> str:
    """Sentences that say which fields there are at `path` in `kind`, a type of msgspec's, and which is the nearest to
    `unknown`; empty where it has none."""
    known = _fields(msgspec.inspect.type_info(kind), path.split(".") if path else [])
    if not known:
        return ""
    nearest = difflib.get_close_matches(unknown[:64].lower(), known, n=1)
    question = f"Did you mean '{nearest[0]}'? " if nearest else ""
    return f" {question}There are: {', '.join(known)}."


def _fields(kind: msgspec.inspect.Type, path: list[str]) -> list[str]:
    match kind:
        case msgspec.inspect.UnionType():
            return next(filter(None, (_fields(each, path) for each in kind.types)), [])
        case msgspec.inspect.ListType():
            return _fields(kind.item_type, path)
        case msgspec.inspect.Metadata():
            return _fields(kind.type, path)
        case msgspec.inspect.StructType() if not path:
            return [field.encode_name for field in kind.fields]
        case msgspec.inspect.StructType():
            name = path[0].partition("[")[0]
            return next((_fields(each.type, path[1:]) for each in kind.fields if each.encode_name == name), [])
        case _:
            return []
