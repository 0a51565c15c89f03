"""Where the secrets of a settings file are: in it, or in files and variables that it refers to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

import attrs

from lightphon_core.settings.environment import without_none
from lightphon_core.settings.options import key_of
from lightphon_core.settings.sections import Settings
from lightphon_core.settings.structuring import Secret

_WITH_PASSWORD = re.compile(r"[^/]*://[^/@]*:[^/]*@.*", re.DOTALL)


def secrets_in(values: Mapping[str, Any], plugins: Mapping[str, type[Any]]) -> Iterator[tuple[str, Any]]:
    """The place of every secret that a settings file sets, and what stands there: text, or the table of a reference.

    `values` are the file's, as TOML has them; `plugins` the settings classes of plugins, by name. A URL is a secret if
    there is a password in it.
    """
    yield from _secrets(values, Settings, "")
    tables = values.get("plugins")
    for name, cls in plugins.items():
        if isinstance(tables, Mapping) and name in tables:
            yield from _secrets(tables[name], cls, f"plugins.{key_of(name)}")


def _secrets(value: Any, kind: Any, place: str) -> Iterator[tuple[str, Any]]:
    kind = without_none(kind)
    if kind is Secret or (kind is str and isinstance(value, str) and _WITH_PASSWORD.fullmatch(value)):
        yield place, value
    elif attrs.has(kind) and isinstance(value, Mapping):
        hints = get_type_hints(kind)
        for name in value.keys() & {attribute.name for attribute in attrs.fields(kind)}:
            yield from _secrets(value[name], hints[name], f"{place}.{name}".lstrip("."))
    elif isinstance(value, Mapping) and len(get_args(kind)) == 2:
        for name, inner in value.items():
            yield from _secrets(inner, get_args(kind)[1], f"{place}.{key_of(name)}")
    elif isinstance(value, list) and get_args(kind):
        for inner in value:
            yield from _secrets(inner, get_args(kind)[0], place)
