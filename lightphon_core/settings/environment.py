"""Settings from environment variables: their names, which follow from the settings classes, and their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from lightphon_core.settings.structuring import expanded, is_internal, plain_prefix

PREFIX = "LIGHTPHON"


@attrs.frozen
class Variable:
    """One environment variable, and the setting that it sets: its path below the class, and its type. `is_plain`: it
    has a name of its own, and no file sets the same."""

    name: str
    path: tuple[str, ...]
    type: Any
    is_plain: bool = False


def variables(
    cls: type[Any], prefix: str = PREFIX, path: tuple[str, ...] = (), *, is_plain: bool = False
) -> Iterator[Variable]:
    """The variable of every setting of an attrs class, those of nested classes included."""
    hints = get_type_hints(cls)
    for attribute in attrs.fields(cls):
        if is_internal(attribute):
            continue
        name, below = f"{prefix}_{attribute.name.upper()}", (*path, attribute.name)
        kind = without_none(hints[attribute.name])
        if attrs.has(kind):
            plain = plain_prefix(attribute)
            yield from variables(kind, plain or name, below, is_plain=is_plain or plain is not None)
        elif has_variable(kind):
            yield Variable(name, below, kind, is_plain)


def has_variable(kind: Any) -> bool:
    """Whether one text can spell a value of this type. A table of tables stands in the file alone."""
    return not any(attrs.has(part) for part in get_args(kind))


def plugin_prefix(plugin: str) -> str:
    """What the variables of one plugin begin with: LIGHTPHON_PLUGINS_BACKEND_GGUF for "backend-gguf"."""
    return f"{PREFIX}_PLUGINS_{re.sub(r'[^A-Za-z0-9]', '_', plugin).upper()}"


def overlay(
    values: Mapping[str, Any], known: Sequence[Variable], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[tuple[str, ...], str]]:
    """`values` with what the environment sets written over them, and the variable's name for each path it set.

    A variable that is set to nothing counts as not set: container files like to pass all of them on.
    """
    merged = dict(values)
    origins: dict[tuple[str, ...], str] = {}
    for variable in known:
        if not (text := environ.get(variable.name)):
            continue
        table: Any = merged
        for key in variable.path[:-1]:
            table[key] = dict(table[key]) if isinstance(table.get(key), Mapping) else {}
            table = table[key]
        table[variable.path[-1]] = decode(text, variable.type)
        origins[variable.path] = variable.name
    return merged, origins


def decode(text: str, kind: Any) -> Any:
    """The value that `text` spells, as TOML would have given it; the text itself where it spells none.

    Lists are separated by commas; tables are `name=value` pairs, separated by commas. Relative paths start at the
    working directory.
    """
    kind = without_none(kind)
    origin = get_origin(kind) or kind
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int:
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else text
    if kind is float:
        return float(text) if re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text) else text
    if kind is Path:
        return expanded(text).absolute()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if origin in (tuple, list, frozenset, Sequence):
        return [decode(part, get_args(kind)[0]) for part in parts]
    if isinstance(origin, type) and issubclass(origin, Mapping) and all("=" in part for part in parts):
        pairs = (part.partition("=") for part in parts)
        return {key.strip(): decode(value.strip(), get_args(kind)[1]) for key, _, value in pairs}
    return text


def without_none(kind: Any) -> Any:
    """The type of a setting that may be left out: `int` of `int | None`."""
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        return members[0] if len(members) == 1 else kind
    return kind
