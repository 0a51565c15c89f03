"""What the fields of messages may hold: predicates, and attrs validators made of them."""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from attrs import Attribute

from lightphon_backend_gguf.protocol import limits

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_NAME = re.compile(r"[!-~]([ -~]{0,62}[!-~])?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"[!-~]([ -~]{0,198}[!-~])?")

_Check: TypeAlias = Callable[[Any, "Attribute[Any]", Any], None]


class FieldError(ValueError):
    """A field does not hold what it must. The text names the field and the rule, never the value."""


def is_whole(value: Any, low: int, high: int) -> bool:
    """Whether this is an int (no bool, no float) within both bounds."""
    return type(value) is int and low <= value <= high


def is_number(value: Any, low: float, high: float) -> bool:
    """Whether this is an int or a float (no bool, NaN or infinity) within both bounds."""
    return type(value) in (int, float) and low <= value <= high


def rule(expectation: str, holds: Callable[[Any], bool], *, optional: bool = False) -> _Check:
    """An attrs validator: raises `FieldError` where `holds(value)` is false."""

    def check(_: Any, attribute: "Attribute[Any]", value: Any) -> None:
        if not ((optional and value is None) or holds(value)):
            raise FieldError(f"{attribute.name} must be {expectation}")

    return check


def text(expectation: str, pattern: re.Pattern[str], *, optional: bool = False) -> _Check:
    """Validator: a string that the pattern matches whole."""
    return rule(expectation, lambda v: isinstance(v, str) and pattern.fullmatch(v) is not None, optional=optional)


def whole(low: int, high: int, *, optional: bool = False) -> _Check:
    """Validator: an int within both bounds."""
    return rule(f"a whole number from {low} to {high}", lambda v: is_whole(v, low, high), optional=optional)


def number(low: float, high: float, *, optional: bool = False) -> _Check:
    """Validator: an int or a float within both bounds."""
    return rule(f"a number from {low:g} to {high:g}", lambda v: is_number(v, low, high), optional=optional)


def many(most: int, holds: Callable[[Any], bool], expectation: str) -> _Check:
    """Validator: a tuple of at most `most` items that all pass `holds`."""
    return rule(
        f"at most {most} {expectation}",
        lambda v: isinstance(v, tuple) and len(v) <= most and all(holds(item) for item in v),
    )


def is_word(value: Any) -> bool:
    """Whether this is a word such as "chat" or "Q4_K_M": at most 64 of A-Z a-z 0-9 . _ + -"""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


an_id = text("an id: a letter or digit, then at most 199 of A-Z a-z 0-9 . _ : / @ + -", _MODEL_ID)
a_name = text("1 to 64 printable ASCII characters without outer spaces", _NAME)
maybe_name = text("1 to 64 printable ASCII characters without outer spaces", _NAME, optional=True)
maybe_sha256 = text("64 hexadecimal digits in small letters", _SHA256, optional=True)
maybe_word = text("a word of at most 64 of A-Z a-z 0-9 . _ + -", _WORD, optional=True)
maybe_token = text("1 to 200 printable ASCII characters without outer spaces", _TOKEN, optional=True)
a_job = whole(1, limits.JOB_ID)


def is_node_name(name: str) -> bool:
    """Whether a node may bear this name: 1 to 64 printable ASCII characters without outer spaces."""
    return _NAME.fullmatch(name) is not None


def is_model_id(text: str) -> bool:
    """Whether this may be the id of a model or an offer."""
    return _MODEL_ID.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether this is 1 to 200 printable ASCII characters without outer spaces."""
    return _TOKEN.fullmatch(text) is not None
