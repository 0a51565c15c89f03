"""Taking an answer of a daemon apart. Whatever is not as its API says is `ProviderUnavailable`: nothing is guessed."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from lightphon_core import ProviderUnavailable

Row = Mapping[str, Any]
"""An object, its members not looked at yet."""

_NUMBER = re.compile(r"[0-9]{1,19}(?:msat)?", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


def text(answer: Any, name: str) -> str:
    """A member that is text."""
    value = _member(answer, name)
    if not isinstance(value, str):
        raise unexpected()
    return value


def number(answer: Any, name: str) -> int:
    """A member that is a whole number from 0 on: as a number, as text, or as text with "msat"."""
    value = _member(answer, name)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value.removesuffix("msat"))
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise unexpected()
    return value


def integer(answer: Any, name: str) -> int:
    """A member that is an integer, below 0 too."""
    value = _member(answer, name)
    if type(value) is not int:
        raise unexpected()
    return value


def hexadecimal(answer: Any, name: str) -> str:
    """A member that is a payment hash, in small letters."""
    value = text(answer, name).lower()
    if not _HASH.fullmatch(value):
        raise unexpected()
    return value


def base64(answer: Any, name: str) -> str:
    """A member that is a payment hash in base64, as hex in small letters."""
    try:
        value = b64decode(text(answer, name), validate=True)
    except ValueError:
        raise unexpected() from None
    if len(value) != 32:
        raise unexpected()
    return value.hex()


def row(value: Any) -> Row:
    """An object."""
    if not isinstance(value, dict):
        raise unexpected()
    return value


def items(answer: Any, name: str) -> list[Row]:
    """A member that is a list of objects."""
    return objects(_member(answer, name))


def objects(value: Any) -> list[Row]:
    """A list of objects."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise unexpected()
    return value


def unexpected() -> ProviderUnavailable:
    """The error for an answer that cannot be read."""
    return ProviderUnavailable("The Lightning wallet did not answer as its API says.")


def _member(answer: Any, name: str) -> Any:
    return row(answer).get(name)
