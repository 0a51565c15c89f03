"""Which IP addresses are the public internet. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
_NOT_HOSTS = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address inside, and nobody's any more
    IPv6Network("3fff::/20"),  # documentation
)
_RELAYS = IPv4Network("192.88.99.0/24")


def is_public(text: str) -> bool:
    """Whether an address, as a resolver gives it, is one that everybody reaches: none of this machine, of a network
    behind it, of a cloud's own services, or of a group. An IPv4 address inside of an IPv6 address counts as itself."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        inner = address.ipv4_mapped or (IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
        if inner is None:
            return address in _UNICAST and address.is_global and not any(address in net for net in _NOT_HOSTS)
        address = inner
    return address.is_global and not (address.is_multicast or address.is_reserved or address in _RELAYS)
