"""The settings as they are in force, one by one, for an administrator to see: where each is set, and without secrets.

What is a secret is told by its type. Others' plugins may not use that type, so three more things are hidden: fields
that their own class keeps out of its repr, text under a name such as `password`, and what a URL has besides host and
path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

import attrs

from lightphon_core.settings.environment import PREFIX, has_variable, without_none
from lightphon_core.settings.options import key_of, written
from lightphon_core.settings.structuring import Secret, is_internal, plain_prefix

HIDDEN = Secret("")
_TELLING = re.compile(r"(?i)(pass|password|passphrase|passwd|secret|token|key|macaroon|rune|cookie|authorization)s?$")
_ADDRESS = re.compile(r"(?s)(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)?(?P<who>.*@)?(?P<rest>.*)")


@attrs.frozen
class Setting:
    """One setting. `key` is its place in the file, such as "server.port"; None where variables alone set it. `variable`
    is None for what one text cannot spell. `value` is TOML, with "..." for what is hidden; None where it is not set."""

    key: str | None
    variable: str | None
    value: str | None
    is_default: bool
    help: str


def in_force(settings: object, table: str | None = "", prefix: str | None = PREFIX) -> Iterator[Setting]:
    """Every setting of an instance of a settings class, those of nested ones included. `table` is where the file has
    it, "" above the first table, None: nowhere. `prefix` is what its variables begin with, if it has any."""
    cls: type[Any] = type(settings)
    hints = get_type_hints(cls)
    for attribute in attrs.fields(cls):
        if is_internal(attribute):
            continue
        value, kind, plain = (
            getattr(settings, attribute.name),
            without_none(hints[attribute.name]),
            plain_prefix(attribute),
        )
        key = None if plain or table is None else f"{table}.{attribute.name}".lstrip(".")
        variable = plain or (prefix and f"{prefix}_{attribute.name.upper()}")
        if attrs.has(type(value)):
            yield from in_force(value, key, variable)
        elif tables := _tables(value):
            for name, inner in tables:
                yield from in_force(inner, key and f"{key}.{key_of(name)}", None)
        elif not attrs.has(kind):  # else it is a table that is not there
            yield Setting(
                key,
                variable if has_variable(kind) else None,
                None if value is None else written(HIDDEN if _is_hidden(attribute, value) else _shown(value), kind),
                _is_default(attribute, value),
                attribute.metadata.get("help", ""),
            )


def without_credentials(text: str) -> str:
    """`text` as it is, unless it is an address: then whoever it names, and its query, become "..."."""
    found = _ADDRESS.fullmatch(text)
    assert found is not None  # all of it is optional
    scheme, who, rest = found["scheme"] or "", found["who"] or "", found["rest"]
    if who and (scheme or ":" in who):
        who = "...@"
    if scheme:
        rest = re.sub(r"(?s)[?#].*", "?...", rest)
    return f"{scheme}{who}{rest}"


def _tables(value: object) -> list[tuple[str, object]]:
    """What is in a table or list of tables, by name or number."""
    named: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        named = list(value.items())
    elif isinstance(value, list | tuple):
        named = list(enumerate(value))
    return [(str(name), inner) for name, inner in named if attrs.has(type(inner))]


def _is_hidden(attribute: attrs.Attribute[Any], value: object) -> bool:
    return not attribute.repr or (isinstance(value, str) and _TELLING.search(attribute.name) is not None)


def _shown(value: Any) -> Any:
    """`value` as `written` takes it, with nothing secret in it."""
    match value:
        case bool() | int() | float() | Path() | Enum() | Secret():
            return value
        case str():
            return without_credentials(value)
        case Mapping():
            return {
                str(name): HIDDEN if isinstance(inner, str) and _TELLING.search(str(name)) else _shown(inner)
                for name, inner in value.items()
            }
        case AbstractSet():
            return sorted(map(_shown, value), key=str)
        case list() | tuple():
            return [_shown(each) for each in value]
    return HIDDEN  # a plugin's own type: nobody knows what it says of itself


def _is_default(attribute: attrs.Attribute[Any], value: object) -> bool:
    default: Any = attribute.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, though its stub says a function
        return not default.takes_self and bool(default.factory() == value)
    return bool(default == value)
