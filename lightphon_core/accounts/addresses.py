"""What counts as one client where attempts are counted by address. Pure."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

_OF_ONE_SITE = 64
"""The prefix that one site has at least (RFC 6177): whoever has one address of it has all 2**64."""


def counted_as(client: str | None) -> str | None:
    """The address of a client; of IPv6 the network of its site. What is no address stands for itself."""
    try:
        address = ip_address((client or "").partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, _OF_ONE_SITE), strict=False))
