"""Who served, as headers: for those who read no body, and for what lies between."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

HEADERS = {"x-lightphon-node": "node_name", "x-lightphon-model": "model"}
"""The headers, and the fields of `routing_info` that they hold."""
LONGEST = 1024
"""Proxies bound the whole of the headers, some at 4 KiB; what is longer is left out."""

_AS_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


def routing_headers(routing_info: Mapping[str, object] | None) -> dict[str, str]:
    """The headers of an answer; none where its status is sent before anybody began it.

    What is no visible ASCII is percent-encoded as UTF-8, and so is the percent sign: names and ids are whatever nodes
    and plugins call them.
    """
    if routing_info is None:
        return {}
    values = {header: quote(str(routing_info[name]), _AS_IS, errors="replace") for header, name in HEADERS.items()}
    return {header: value for header, value in values.items() if 0 < len(value) <= LONGEST}
