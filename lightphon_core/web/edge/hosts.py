"""Which names this server answers to.

A page on the internet can have its own name resolve to this machine (DNS rebinding); the browser then takes the server
for a part of that page. It still sends the name it was told as `Host`, so names that are not ours are refused. Literal
addresses cannot be rebound, and a server that is not bound to loopback cannot know all that it is reached by (port
forwarding, NAT, containers), so there each of them is ours.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen

from lightphon_core.errors import RequestError
from lightphon_core.settings import ServerSettings
from lightphon_core.web.errors import send_error

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

EXEMPT = frozenset({"/healthz", "/readyz"})
"""Load balancers and orchestrators probe by whatever name they have, or none; these tell nothing about anybody."""

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?")


class UnknownHost(RequestError):
    """The request is for a server of another name."""

    code = "unknown_host"


@frozen
class HostRule:
    """Names in small letters; `below` are the ends (".example.org") of those that go by a wildcard. Literal addresses
    pass if they are loopback's, or if `addresses`."""

    names: frozenset[str]
    below: tuple[str, ...]
    addresses: bool

    def permits(self, name: str) -> bool:
        """`name` is one that `name_of` gave."""
        if name in self.names or name.endswith(self.below):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return self.addresses or address.is_loopback


def host_rule(server: ServerSettings) -> HostRule | None:
    """What the settings ask for; None where every name is welcome: the server is not on loopback alone, and nobody has
    said what it is called."""
    on_loopback = _is_loopback(server.host)
    if not on_loopback and server.public_url is None and not server.allowed_hosts:
        return None
    given = [each.lower().strip("[]") for each in server.allowed_hosts]
    names = {"localhost", server.host.lower(), *(name for name in given if not name.startswith("*."))}
    if server.public_url is not None:
        names.add(urlsplit(server.public_url).hostname or "")
    below = tuple(name[1:] for name in given if name.startswith("*."))
    return HostRule(frozenset(names), below, addresses=not on_loopback)


def name_of(host: bytes) -> str | None:
    """The name or address in a `Host` header, in small letters, without port, brackets and final dot; None if it is not
    one."""
    found = _HOST.fullmatch(host.decode("latin-1").strip().lower())
    return None if found is None else found[1] or found[2].removesuffix(".")


class HostCheck:
    """ASGI: requests and WebSockets for other names are answered 400. One without `Host`, or with several, names
    nothing."""

    def __init__(self, app: ASGIApp, rule: HostRule) -> None:
        self._app = app
        self._rule = rule

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value for key, value in scope["headers"] if key == b"host"]
        name = name_of(hosts[0]) if len(hosts) == 1 else None
        if (name is None or not self._rule.permits(name)) and scope["path"] not in EXEMPT:
            await send_error(scope, send, _refusal(name))
            return
        await self._app(scope, receive, send)


def _refusal(name: str | None) -> UnknownHost:
    said = "The request does not say which host it is for." if name is None else f"This server is not called {name!r}."
    return UnknownHost(f"{said} If it should be, the operator adds the name to allowed_hosts of [server].")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
