"""Where the server's node link is, from the address an operator gives."""

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

PATH = "/api/node-link"

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def link_url(server: str) -> str:
    """The WebSocket address for a server's base address, such as `https://example.org` or `http://127.0.0.1:8000/v1`.

    Raises ValueError, with a line for the operator, for what is no such address, and for an unencrypted one that is
    not on this machine: the token would travel in the clear.
    """
    try:
        parts = urlsplit(server.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the server's address is not a valid URL") from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not host:
        raise ValueError("the server's address must begin with https:// (or http:// on this machine)")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the server's address must have no user name, query or fragment")
    if scheme == "ws" and not is_loopback(host):
        raise ValueError("the server's address must begin with https://, except on this machine")
    path = parts.path.rstrip("/").removesuffix(PATH).removesuffix("/v1")
    return urlunsplit((scheme, parts.netloc, path + PATH, "", ""))


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
