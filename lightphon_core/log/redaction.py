"""What looks like a credential, masked wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict, WrappedLogger

MASK = "[redacted]"

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Our own keys and tokens (accounts/secrets.py, sessions.py, invites.py, device_cookies.py), cut short or misspelt
    # ones too.
    (re.compile(r"(?<![A-Za-z0-9])(lp|at|np|ls|li|ld)_[A-Za-z0-9]{10}[A-Za-z0-9_-]*"), rf"\1_{MASK}"),
    # Whatever stands where an agent token belongs, but for what the access log has there.
    (re.compile(r"(/api/agent/)(?!\[|\{token\}/|-/)[^/\s\"'?#\\]+"), rf"\1{MASK}"),
    # An Authorization header in any notation: as text, JSON, a dict or a pair of bytes.
    (
        re.compile(
            r"(?i)(authorization\b[\"']?\s*[:=,]\s*(?:b?[\"'])?+)(?:(?:bearer|basic)\s+)?(?!\[)[^\s\"'\\,)\]}]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}"), rf"\1 {MASK}"),
    # The password in a URL.
    (re.compile(r"(://[^/\s:@\"']*:)[^/\s@\"']+(?=@)"), rf"\1{MASK}"),
)

_MARKS = ("lp_", "at_", "np_", "ls_", "li_", "ld_", "/api/agent/", "authorization", "bearer", "basic", "://")
"""Without one of these, in small letters, no pattern above matches ASCII. Looking for them takes a tenth of the time,
and most of what is logged has none."""

_SECRET_KEYS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "api_key",
        "secret",
        "token",
        "password",
    }
)


def redact(text: str) -> str:
    """`text` with everything in it that looks like a credential masked."""
    if text.isascii() and not _is_marked(text.lower()):  # beyond ASCII one small letter may have several capitals
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _is_marked(text: str) -> bool:
    for mark in _MARKS:  # noqa: SIM110 - a generator would take longer than what it looks for
        if mark in text:
            return True
    return False


def redact_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A structlog processor: masks the values of keys that name a secret, and credentials in text, however nested."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: object, value: Any) -> Any:
    name = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    if name.lower() in _SECRET_KEYS and value is not None:
        return MASK
    match value:
        case str():
            return redact(value)
        case bytes():
            return redact(value.decode("latin-1"))
        case Mapping():
            return {inner: _redacted(inner, element) for inner, element in value.items()}
        case (str() | bytes() as header, content) if isinstance(value, tuple):
            return (header, _redacted(header, content))
        case list() | tuple() | set() | frozenset():
            return [_redacted("", element) for element in value]
    return value
