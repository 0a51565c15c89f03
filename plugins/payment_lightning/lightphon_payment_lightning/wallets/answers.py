"""What a daemon's JSON must look like to be believed. All else is `ProviderUnavailable`; nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightphon_core import ProviderUnavailable

Row = Mapping[str, Any]


def row(answer: Any) -> Row:
    """An object."""
    if not isinstance(answer, dict):
        raise _unexpected()
    return answer


def rows(answer: Any) -> list[Row]:
    """A list of objects."""
    if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
        raise _unexpected()
    return answer


def integer(of: Row, name: str) -> int:
    """A member that is an integer, and no boolean."""
    value = of.get(name)
    if type(value) is not int:
        raise _unexpected()
    return value


def text(of: Row, name: str) -> str:
    """A member that is a text."""
    value = of.get(name)
    if not isinstance(value, str):
        raise _unexpected()
    return value


def _unexpected() -> ProviderUnavailable:
    return ProviderUnavailable("The Lightning wallet did not answer as its API says.")
