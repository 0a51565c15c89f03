"""What settings of the network must look like: validators of attrs fields."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from attrs import Attribute

from lightphon_core.settings.structuring import Secret

MIN_TOKEN = 16

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\]?")


def are_networks(_: object, attribute: Attribute[Any], texts: tuple[str, ...]) -> None:
    """Addresses, with or without the length of a prefix."""
    for text in texts:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                f"'{attribute.name}' must be addresses such as 10.0.0.1 or networks such as 10.0.0.0/8"
            ) from None


def are_hosts(_: object, attribute: Attribute[Any], texts: tuple[str, ...]) -> None:
    """Names of hosts, `*.` and the end of some, or literal IPv6 addresses; no scheme and no port."""
    for text in texts:
        if not _HOST.fullmatch(text):
            raise ValueError(f"'{attribute.name}' must be host names without scheme and port, such as ai.example.org")


def is_long(_: object, attribute: Attribute[Any], token: Secret | None) -> None:
    """A token that nobody guesses, where there is one."""
    if token is not None and len(token.reveal()) < MIN_TOKEN:
        raise ValueError(f"'{attribute.name}' must have {MIN_TOKEN} characters or more")
