"""Who the client is, where reverse proxies stand in front of the server.

A proxy appends the address that it was called from to `X-Forwarded-For`, so only what trusted proxies appended can be
believed: the list is read from its end, up to the first address that is not one of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

Network = IPv4Network | IPv6Network
MOST_HOPS = 32
"""Proxies that are looked through; whoever stands behind more of them is taken for the last of these."""

_SECURE = {"http": "https", "ws": "wss"}
_PLAIN = {secure: plain for plain, secure in _SECURE.items()}


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """`trusted_proxies` as networks; an address alone is a network of one."""
    return tuple(ip_network(text, strict=False) for text in texts)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether the peer of a connection is one of the proxies."""
    address = _address(peer)
    return address is not None and any(address in network for network in trusted)


def client_behind(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The client's address. `peer` is a trusted proxy, `forwarded` all of `X-Forwarded-For`.

    What is no address ends the search: the client is then the last proxy that could be made out.
    """
    client = peer
    for hop in reversed(forwarded.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
        address = _address(hop)
        if address is None:
            break
        client = str(address)
        if not any(address in network for network in trusted):
            break
    return client


def scheme_behind(scheme: str, forwarded: str) -> str:
    """What the client spoke: `scheme`, with or without TLS as the last `X-Forwarded-Proto` says ("https", "wss")."""
    last = forwarded.rpartition(",")[2].strip().lower()
    if last in ("https", "wss"):
        return _SECURE.get(scheme, scheme)
    return _PLAIN.get(scheme, scheme) if last in ("http", "ws") else scheme


class ClientAddress:
    """ASGI: `client` and `scheme` of the scope become those of the client, if the peer is a trusted proxy. Peers that
    have no address (a Unix socket) are not."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if peer is not None and is_trusted(peer[0], self._trusted):
            forwarded = _joined(scope, b"x-forwarded-for")
            if forwarded:
                scope["client"] = (client_behind(peer[0], forwarded, self._trusted), 0)
            scope["scheme"] = scheme_behind(scope["scheme"], _joined(scope, b"x-forwarded-proto"))
        await self._app(scope, receive, send)


def _joined(scope: Scope, name: bytes) -> str:
    """A header that is a list, in however many lines it came."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, with or without port; IPv4 in IPv6's clothes as IPv4, and without the zone, which may be any text."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
