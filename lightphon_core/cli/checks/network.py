"""Whether the addresses fit one another, and whether the port can be had."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from lightphon_core.cli.checks.finding import Finding, ok, problem, warning
from lightphon_core.settings import AccountSettings, LimitSettings, ServerSettings

CHECK = "address"
PROBE_S = 3.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
"""Addresses that stand for all of this machine's, and one that reaches it."""


def check_addresses(server: ServerSettings, accounts: AccountSettings) -> Iterator[Finding]:
    """Whether keys, passwords and cookies travel encrypted wherever they may, by what the settings say."""
    is_local = is_loopback(server.host)
    url = urlsplit(server.public_url) if server.public_url else None
    is_open = accounts.registration != "closed"
    found = []
    if url is None and not is_local:
        found.append(
            (problem if is_open else warning)(
                CHECK,
                f"{server.host} can be reached from other machines, over plain http it seems: public_url is not set.",
                "Put a proxy with TLS in front and set public_url to its https URL, or listen on 127.0.0.1.",
            )
        )
    elif url is None and is_open:
        found.append(
            warning(
                CHECK,
                "People may register, but public_url is not set, so cookies are not marked Secure.",
                "Set public_url to the https URL that they reach this server by.",
            )
        )
    if url is not None and url.scheme == "http" and not is_loopback(url.hostname or ""):
        found.append(
            problem(
                CHECK,
                f"public_url is {server.public_url}: keys and passwords travel unencrypted.",
                "Put a proxy with TLS in front and make it an https URL.",
            )
        )
    if url is not None and url.scheme == "https" and not server.trusted_proxies:
        found.append(
            warning(
                CHECK,
                "public_url is https, but no proxy is trusted, so everybody seems to come from the proxy's address.",
                "Set trusted_proxies to the address of the proxy in front, such as 127.0.0.1.",
            )
        )
    if any(ip_network(entry).prefixlen == 0 for entry in server.trusted_proxies):
        found.append(
            problem(
                CHECK,
                "trusted_proxies holds every address, so anybody can claim to come from any.",
                "Name the addresses of the proxies in front alone.",
            )
        )
    yield from found
    if not found:
        yield ok(CHECK, f"People reach it as {server.public_url or f'http://{server.host}:{server.port}'}.")


def check_registration(accounts: AccountSettings, limits: LimitSettings) -> Iterator[Finding]:
    """Whether strangers may make accounts that may then ask without end."""
    set_ = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
    if accounts.registration == "open" and not any(set_):
        yield warning(
            "accounts",
            "Everybody may register, and no account is limited: one person can keep all nodes busy.",
            "Set requests_per_minute, tokens_per_minute or concurrent_requests of [limits], or invite people instead.",
        )


def check_port(host: str, port: int) -> Finding:
    """Whether the port is free, or LightPhon listens on it already."""
    from lightphon_core.web.server import AddressError, bind

    if port == 0:
        return ok("port", "Any free port is taken.")
    if _answers(EVERYWHERE.get(host, host), port):
        return ok("port", f"LightPhon answers on {host} port {port}.")
    try:
        bind(host, port).close()
    except AddressError as error:
        return problem("port", error.message, "Until then the server does not start.")
    return ok("port", f"Port {port} on {host} is free.")


def _answers(host: str, port: int) -> bool:
    """Whether it is a LightPhon that listens there: it gives each answer an id."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_S)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            answer.read(1_000)
        except (OSError, http.client.HTTPException):
            return False
        return (answer.getheader("x-request-id") or "").startswith("req_")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
