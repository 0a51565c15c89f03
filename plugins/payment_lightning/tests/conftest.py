"""A server of Lightning addresses, over TLS, that answers what a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest
import trustme
from attrs import define, field
from lightphon_payment_lightning.guarded import GuardedClient

HOST = "pay.example"
"""A name that no resolver but the tests' own knows."""

Script = Callable[[asyncio.StreamWriter, str], Any]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@define
class AddressServer:
    """`script` is called with each connection and the path that it asks for, after the request was read."""

    port: int
    context: ssl.SSLContext = field(repr=False)
    script: Script = field(default=lambda *_: None, repr=False)
    requests: list[str] = field(factory=list)
    resolved: list[str] = field(factory=list)
    addresses: list[Sequence[str]] = field(factory=list)
    """What the resolver answers, one time after the other; the server's own address once they are used up."""

    def client(self, **options: Any) -> GuardedClient:
        """A client that trusts the server's authority, and takes 127.0.0.1 alone for public."""
        given = {"resolver": self._resolve, "context": self.context, "permits": lambda each: each == "127.0.0.1"}
        return GuardedClient(**{**given, **options})

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        assert port == self.port
        self.resolved.append(host)
        return self.addresses.pop(0) if self.addresses else ["127.0.0.1"]


@pytest.fixture
async def address_server(authority: trustme.CA) -> AsyncGenerator[AddressServer, None]:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            made.requests.append(head)
            waited = made.script(writer, head.split(" ")[1])
            if waited is not None:
                await waited
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=served)
    made = AddressServer(server.sockets[0].getsockname()[1], trusting)
    async with server:
        yield made
