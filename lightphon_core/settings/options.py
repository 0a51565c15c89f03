"""The settings of a class one by one, with what a person wants to know of each. For the reference and the template."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from lightphon_core.money import Amount, Cents, euros, sats
from lightphon_core.settings.environment import PREFIX, has_variable, plugin_prefix, without_none
from lightphon_core.settings.sections import Settings
from lightphon_core.settings.structuring import Secret, is_internal, plain_prefix

_PLAIN = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Secret: "secret text",
    Amount: "sats",
    Cents: "euros",
}
_WRITTEN: Mapping[Any, Callable[[int], str]] = {Amount: sats, Cents: lambda cents: toml(euros(cents))}
"""Kinds of money, whose defaults are whole numbers of something smaller."""


@attrs.frozen
class Option:
    """One setting. `type` is in words, `default` and `example` are TOML; None where there is none.

    `variable` is None for what one text cannot spell. Without what is `required` the program does not start.
    """

    name: str
    variable: str | None
    type: str
    default: str | None
    example: str | None
    help: str
    required: bool


@attrs.frozen
class Section:
    """A table of the settings file, "" for what stands above the first one; and a sentence or two on it. None: these
    are variables that begin with `prefix`, and nothing that a file has."""

    table: str | None
    about: str
    options: tuple[Option, ...]
    prefix: str


def sections(plugins: Mapping[str, type[Any]]) -> Iterator[Section]:
    """All of the core's, then those of `plugins`: settings classes, by the plugin's name."""
    yield from _sections(Settings, "", PREFIX)
    for name, cls in sorted(plugins.items()):
        table = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
        yield from _sections(cls, f"plugins.{table}", plugin_prefix(name))


def toml(value: Any) -> str:
    """A value of a setting as TOML, on one line."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case Enum():
            return toml(value.value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case Mapping():
            return "{" + ", ".join(f"{key_of(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
        case Secret():
            return '"..."'
    return f"[{', '.join(map(toml, value))}]"


def written(value: Any, kind: Any) -> str:
    """A value of a setting of this type as TOML; amounts of money in the unit that people write."""
    write = _WRITTEN.get(kind)
    return toml(value) if write is None else write(value)


def key_of(key: str) -> str:
    """A key as TOML has it, in quotation marks where it needs some."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _sections(cls: type[Any], table: str | None, prefix: str) -> Iterator[Section]:
    hints = get_type_hints(cls)
    options: list[Option] = []
    inner: list[Section] = []
    for attribute in attrs.fields(cls):
        if is_internal(attribute):
            continue
        kind, name = without_none(hints[attribute.name]), attribute.name
        variable = f"{prefix}_{name.upper()}"
        if attrs.has(kind):
            plain = plain_prefix(attribute)
            below = None if plain or table is None else f"{table}.{name}".lstrip(".")
            inner += _sections(kind, below, plain or variable)
        else:
            options.append(_option(attribute, kind, variable if has_variable(kind) else None))
    if options:
        yield Section(table, _about(cls), tuple(options), prefix)
    yield from inner


def _option(attribute: attrs.Attribute[Any], kind: Any, variable: str | None) -> Option:
    default = attribute.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, though its stub says a function
        default = default.factory()  # type: ignore[union-attr]  # known by the line above
    example = attribute.metadata.get("example")
    shown: str | None = None
    if default is not attrs.NOTHING and default is not None:
        shown = written(default, kind)
    return Option(
        name=attribute.name,
        variable=variable,
        type=_words(kind),
        default=shown,
        example=None if example is None else toml(example),
        help=attribute.metadata.get("help", ""),
        # The program knows where its data is even where nobody says.
        required=attribute.default is attrs.NOTHING and attribute.name != "data_dir",
    )


def _words(kind: Any) -> str:
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return " or ".join(map(toml, arguments))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(toml(member.value) for member in kind)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "table of tables" if attrs.has(arguments[1]) else f"table of {_words(arguments[1])}s"
    return f"list of {_words(arguments[0])}s" if arguments else str(kind)


def _about(cls: type[Any]) -> str:
    """The first paragraph of the class's docstring, without the table's name that may stand before it."""
    text = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
    text = re.sub(r"^`\[[^`]*\]`: ", "", text)
    return text[:1].upper() + text[1:]
