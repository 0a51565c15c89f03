"""What settings of the network must look like: validators of attrs fields. Their messages show no text of a setting."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Attribute

from lightphon_core.settings.structuring import Secret

MIN_TOKEN = 16
"""What nobody guesses, at least, if it is random."""

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_LONGEST_HOST = 253
_URL = re.compile(r"https?://[^/?#\s@]+(/[^?#\s]*)?")
_ENDPOINT = re.compile(rf"{_URL.pattern}(\?[^#\s]*)?")


def is_url(_: object, attribute: Attribute[Any], url: str | None) -> None:
    """An address that browsers open, without user, query and fragment."""
    if url is not None and not _URL.fullmatch(url):
        raise ValueError(f"'{attribute.name}' must be a URL such as https://your.host")


def are_urls(_: object, attribute: Attribute[Any], urls: Mapping[str, str]) -> None:
    """By name: addresses that programs ask, with or without a query."""
    for name, url in urls.items():
        if not _ENDPOINT.fullmatch(url):
            raise ValueError(
                f"'{attribute.name}' must be URLs such as https://your.host/rate: that of {name!r} is none"
            )


def are_networks(_: object, attribute: Attribute[Any], entries: Sequence[str]) -> None:
    """Addresses, with or without the length of a prefix."""
    for place, entry in enumerate(entries, 1):
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            raise ValueError(
                f"'{attribute.name}' must be IP addresses or networks such as 127.0.0.1 and 10.0.0.0/8: "
                f"entry {place} is neither"
            ) from None


def are_hosts(_: object, attribute: Attribute[Any], entries: Sequence[str]) -> None:
    """Names of hosts, `*.` and the end of some, or literal addresses; no scheme and no port."""
    for place, entry in enumerate(entries, 1):
        if not (_HOST.fullmatch(entry) and len(entry) <= _LONGEST_HOST) and not _is_address(entry):
            raise ValueError(
                f"'{attribute.name}' must be host names such as api.example.org and *.example.org, without a port: "
                f"entry {place} is none"
            )


def is_long(_: object, attribute: Attribute[Any], token: Secret | None) -> None:
    """A token that nobody guesses, where there is one."""
    if token is not None and len(token.reveal()) < MIN_TOKEN:
        raise ValueError(f"'{attribute.name}' must have {MIN_TOKEN} characters or more")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
