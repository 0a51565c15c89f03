"""A fake OpenClaw, backends that look for it, and whole servers that have one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from attrs import frozen
from lightphon_backend_openclaw.backend import HttpBackend
from lightphon_backend_openclaw.plugin import OpenClaw
from lightphon_backend_openclaw.settings import InstanceSettings, OpenClawSettings
from lightphon_backend_openclaw.testing.fake import FakeServer
from sqlalchemy import select

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.plugins import Source
from lightphon_core.settings import PluginsSettings
from lightphon_core.storage.schema import balances
from lightphon_core.testing import host_for

StartBackend = Callable[..., AbstractAsyncContextManager[HttpBackend]]
FUNDS = 10**12


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """It refuses connections until `listen()`."""
    with FakeServer() as server:
        yield server


@pytest.fixture
def start_backend() -> StartBackend:
    """`async with start_backend(name=InstanceSettings(...)) as backend`: a started one, that has found models."""

    @asynccontextmanager
    async def start(**instances: InstanceSettings) -> AsyncGenerator[HttpBackend, None]:
        found = asyncio.Event()
        host = host_for(OpenClawSettings(instances=instances), plugin="openclaw", offers_changed=found.set)
        (backend,) = OpenClaw(host).register_backends()
        assert isinstance(backend, HttpBackend)
        await backend.start()
        try:
            async with asyncio.timeout(10):
                await found.wait()
            yield backend
        finally:
            await backend.stop()

    return start


@frozen
class Gateway:
    """A running server whose only backend is the fake, and the wallet of its account."""

    running: Any
    fake: FakeServer

    def wallet(self) -> int:
        """Millisatoshi of the account, once nothing of it is held any more."""
        deadline = time.monotonic() + 10
        while True:
            with self.running.server.database.transaction() as connection:
                name = chart.wallet(get_account(connection, "test").id, Origin.LIGHTNING)
                row = connection.execute(select(balances).where(balances.c.account == name)).one()
            if not row.held:
                return int(row.amount)
            assert time.monotonic() < deadline, "the hold was not given back"
            time.sleep(0.01)  # the database tells nobody when a row changes

    def spent(self) -> int:
        return FUNDS - self.wallet()


@pytest.fixture
def start_gateway(start_server: Any, fake: FakeServer) -> Callable[..., Gateway]:
    """`start_gateway(price=..., server settings)`: a server that has found the fake, and an account with money.
    `instance` has more settings of the fake's."""

    def start(instance: dict[str, Any] | None = None, **settings: Any) -> Gateway:
        fake.listen()
        table = {"base_url": fake.url, "api_key": fake.key, **(instance or {})}
        tables = {"openclaw": {"instances": {"OpenClaw": table}}}
        source = Source("openclaw", "tests", "0", lambda: OpenClaw)
        running = start_server(source, plugins=PluginsSettings(tables=tables), **settings)
        with running.server.database.transaction() as connection:
            wallet = chart.wallet(get_account(connection, "test").id, Origin.LIGHTNING)
            carry_out(connection, [Post("deposit", "test", "1", (Posting("clearing:test", wallet, FUNDS),))])
        deadline = time.monotonic() + 10
        while not running.server.gateway.router.catalogue.entries():
            assert time.monotonic() < deadline, "the models were not found"
            time.sleep(0.01)  # the catalogue is the server's, in another thread
        return Gateway(running, fake)

    return start
