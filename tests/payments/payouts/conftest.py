"""Payouts over a scripted provider, on each kind of database, with a clock that the test holds. The books are proved
after every test."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from attrs import define
from click.testing import CliRunner
from sqlalchemy import select

from lightphon_core.accounts.people import create_account
from lightphon_core.cli import build
from lightphon_core.ledger import audit, chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.payouts.administration import PayoutAdministration
from lightphon_core.payments.payouts.payout import Payout
from lightphon_core.payments.payouts.reconciliation import Reconciliation
from lightphon_core.payments.payouts.runner import PayoutRunner
from lightphon_core.payments.payouts.sent_log import RestoreMark, SentLog
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.payments.payouts.submission import Submission
from lightphon_core.settings import DepositSettings, PayoutSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import balances
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.scripted import ScriptedPayouts

SAT = 1_000


@define
class HeldClock:
    """Time stands still until the test moves it."""

    at: float = 1_800_000_000.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


@define
class Till:
    """One server's payouts; `account` and `other` are people's ids."""

    database: Database
    data_dir: Path
    clock: HeldClock
    provider: ScriptedPayouts
    payments: ScriptedPayments
    deposits: Deposits
    payouts: Payouts
    administration: PayoutAdministration
    runner: PayoutRunner
    account: str = ""
    other: str = ""

    def fund(self, sats: int, *, origin: Origin = Origin.LIGHTNING, account: str | None = None) -> None:
        """Put money into a wallet."""
        posting = Posting("clearing:scripted", chart.wallet(account or self.account, origin), sats * SAT)
        with self.database.transaction() as connection:
            carry_out(connection, [Post("deposit", "test", f"{time.monotonic_ns()}", (posting,))])

    def invoice(self, sats: float | None, **more: Any) -> str:
        return self.provider.invoice(None if sats is None else round(sats * SAT), **more)

    async def ask(self, destination: str, sats: int | None = None, **more: Any) -> Payout:
        account = more.pop("account", self.account)
        return await self.payouts.ask(account, destination, None if sats is None else sats * SAT, **more)

    async def turn(self) -> None:
        """Do what there is to do, and wait for it."""
        await asyncio.gather(*await self.runner.turn())

    async def again(self, payout: Payout) -> Payout:
        return await self.payouts.get(payout.id, account=payout.account)

    def books(self) -> dict[str, int]:
        """Every balance that is not 0, in msat; people by their names."""
        with self.database.transaction() as connection:
            rows = connection.execute(select(balances.c.account, balances.c.amount))
            names = {self.account: "alice", self.other: "bob"}
            found = {row.account: row.amount for row in rows if row.amount}
        for account, name in names.items():
            found = {key.replace(account, name): amount for key, amount in found.items()}
        return found


MakeTill = Callable[..., Till]


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def people(database: Database) -> list[str]:
    with database.transaction() as connection:
        return [create_account(connection, name, now=1_700_000_000.0).id for name in ("alice", "bob")]


def make_till(
    database: Database,
    data_dir: Path,
    clock: HeldClock,
    people: list[str],
    provider: ScriptedPayouts | None = None,
    *,
    fee: int = 0,
    least_cap: int = 0,
    **settings: Any,
) -> Till:
    """A server over a database."""
    log = structlog.stdlib.get_logger("test")
    provider = provider or ScriptedPayouts(fee=fee, least_cap=least_cap, clock=clock)
    payments = ScriptedPayments(clock=clock)
    deposits = Deposits(database, [payments], DepositSettings(), clock, log)
    given = {"fee_base": 10 * SAT, "fee_bps": 0, **settings}
    payouts = Payouts(database, [provider], PayoutSettings(**given), clock)
    sent_log, mark = SentLog(data_dir), RestoreMark(data_dir)
    submission = Submission(database, payouts.providers, sent_log, clock, log, deposits.followers.changed)
    reconciliation = Reconciliation(database, payouts.providers, sent_log, mark, clock)
    return Till(
        database,
        data_dir,
        clock,
        provider,
        payments,
        deposits,
        payouts,
        PayoutAdministration(payouts, submission, reconciliation),
        PayoutRunner(payouts, submission, reconciliation, log),
        *people,
    )


@pytest.fixture
def new_till(database: Database, tmp_path: Path, clock: HeldClock, people: list[str]) -> Iterator[MakeTill]:
    """`new_till(provider, **settings)`: another one over the same database is another server."""
    yield lambda provider=None, **more: make_till(database, tmp_path, clock, people, provider, **more)
    with database.snapshot() as connection:
        assert audit.verify(connection) == []


@pytest.fixture
def till(new_till: MakeTill) -> Till:
    return new_till()


@pytest.fixture
def file_database(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The file of an SQLite database that can be replaced by a backup."""
    path = tmp_path / "files" / "lightphon.db"
    path.parent.mkdir(mode=0o700)
    shutil.copyfile(request.getfixturevalue("_migrated_file"), path)
    return path


@pytest.fixture
def till_maker() -> MakeTill:
    """Makes a server over a database of the test's own."""
    return make_till


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command line; its output. Raises `SystemExit` where it fails."""
    for name in [name for name in os.environ if name.startswith("LIGHTPHON_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(build(), arguments)
        if result.exit_code:
            raise SystemExit(result.exit_code)
        return result.stdout

    return run
