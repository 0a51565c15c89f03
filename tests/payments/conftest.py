"""Deposits over a scripted provider, on each kind of database, with a clock that the test holds. The books are proved
after every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from attrs import define, field
from sqlalchemy import select

from lightphon_core.accounts.people import create_account
from lightphon_core.ledger import audit
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.deposits.terms import Quotes, no_rate
from lightphon_core.payments.deposits.watch import Watch, watches
from lightphon_core.settings import DepositSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import balances
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.types import Fiat


@define
class HeldClock:
    """Time stands still until the test moves it."""

    at: float = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


@define
class Desk:
    """The service, its provider and its watch; `account` is somebody's id."""

    database: Database
    clock: HeldClock
    provider: ScriptedPayments
    deposits: Deposits
    watch: Watch
    account: str
    others: list[str] = field(factory=list)

    async def open(self, amount: int | Fiat = 5_000, account: str | None = None) -> Any:
        return await self.deposits.open(account or self.account, None, amount)

    async def again(self, deposit: Any) -> Any:
        return await self.deposits.get(deposit.account, deposit.id)

    async def look(self) -> None:
        """Whatever is due now is asked about."""
        await self.watch.look()

    def balances(self) -> dict[str, int]:
        """Every balance of the books that is not 0."""
        with self.database.transaction() as connection:
            rows = connection.execute(select(balances.c.account, balances.c.amount))
            return {row.account: row.amount for row in rows if row.amount}

    def wallet(self, account: str | None = None) -> int:
        return self.balances().get(f"wallet:{account or self.account}:lightning", 0)


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(database: Database) -> Iterator[MakeDesk]:
    """`make_desk(provider, **settings)`: another one over the same database is another server."""
    clock = HeldClock()
    with database.transaction() as connection:
        people = [create_account(connection, name, now=clock.at).id for name in ("alice", "bob")]

    def make(
        provider: ScriptedPayments | None = None,
        *,
        quote: Quotes = no_rate,
        public_url: str | None = None,
        **settings: Any,
    ) -> Desk:
        provider = provider or ScriptedPayments(clock=clock)
        log = structlog.stdlib.get_logger("test")
        own = DepositSettings(**settings)
        deposits = Deposits(database, [provider], own, clock, log, quote=quote, public_url=public_url)
        (watch,) = watches(deposits)
        return Desk(database, clock, provider, deposits, watch, people[0], people[1:])

    yield make
    with database.snapshot() as connection:
        assert audit.verify(connection) == []


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()
