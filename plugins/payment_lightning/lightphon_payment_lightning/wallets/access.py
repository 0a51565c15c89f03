"""What the settings of every wallet that is a server of its own have in common: where it is, and what opens it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute

from lightphon_core import Secret


def is_url(_: object, attribute: Attribute[Any], value: str) -> None:
    """A validator: `value` is the address of a server over HTTP."""
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"'{attribute.name}' is not a valid URL") from None
    if parts.scheme not in ("http", "https") or not host or not value.isprintable() or " " in value:
        raise ValueError(f"'{attribute.name}' must begin with http:// or https://, and name a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError(
            f"'{attribute.name}' must have no user name, query or fragment: secrets have fields of their own"
        )


def is_one_word(_: object, attribute: Attribute[Any], value: Secret | None) -> None:
    """A validator: `value` can stand in a header of HTTP. The message does not repeat it."""
    if value is not None and (not value.reveal() or not all("!" <= each <= "~" for each in value.reveal())):
        raise ValueError(f"'{attribute.name}' is empty, or has a space or another character that no such secret has")
