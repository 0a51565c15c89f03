"""A live server with a priced node, wallets to pay it from, and the books to look into."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen
from sqlalchemy import func, select

from lightphon_core import Price
from lightphon_core.accounts.credentials import find_by_secret
from lightphon_core.accounts.people import create_account, get_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.budgets import Period, budgets_of, set_budgets
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import LedgerSettings, PricingSettings, StorageSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import balances, entries, holds, metadata, usage
from lightphon_core.testing import ScriptedBackend, plugin_of

PER_TOKEN = Price(per_mtok_completion=1_000_000_000)
"""A sat for each completion token, and nothing for the prompt."""


@frozen
class Books:
    """The ledger of a running server."""

    database: Database

    def fund(self, msat: int, *, account: str = "test", origin: Origin = Origin.LIGHTNING) -> None:
        """Put money into a wallet."""
        posting = Posting("clearing:test", chart.wallet(self.account_id(account), origin), msat)
        with self.database.transaction() as connection:
            carry_out(connection, [Post("deposit", "test", f"{time.monotonic_ns()}", (posting,))])

    def account_id(self, name: str = "test") -> str:
        with self.database.transaction() as connection:
            return get_account(connection, name).id

    def all(self) -> dict[str, int]:
        """Every balance that is not 0."""
        with self.database.transaction() as connection:
            rows = connection.execute(select(balances.c.account, balances.c.amount))
            return {row.account: row.amount for row in rows if row.amount}

    def wallet(self, account: str = "test") -> int:
        """What an account has, holds included."""
        prefix = f"wallet:{self.account_id(account)}:"
        return sum(amount for name, amount in self.all().items() if name.startswith(prefix))

    def held(self) -> int:
        with self.database.transaction() as connection:
            total = connection.execute(select(func.coalesce(func.sum(balances.c.held), 0))).scalar_one()
            rows = connection.execute(select(func.count()).select_from(holds)).scalar_one()
        assert bool(total) == bool(rows)
        return int(total)

    def charges(self) -> int:
        """How many charges there are."""
        with self.database.transaction() as connection:
            query = select(func.count()).select_from(entries).where(entries.c.kind == "charge")
            return int(connection.execute(query).scalar_one())

    def set_budgets(self, running: Any, **amounts: int) -> None:
        """What the server's API key may spend: `day=5_000`."""
        key = self._key(running)
        with self.database.transaction() as connection:
            set_budgets(connection, key, {Period(name): msat for name, msat in amounts.items()})

    def budgets(self, running: Any) -> dict[str, tuple[int, int]]:
        """What is spent and held of each budget of the server's API key."""
        key = self._key(running)
        with self.database.transaction() as connection:
            found = budgets_of(connection, [key])[key]
        return {budget.period.value: (budget.spent, budget.held) for budget in found}

    def _key(self, running: Any) -> str:
        with self.database.transaction() as connection:
            found = find_by_secret(connection, Kind.API_KEY, running.api_key)
        assert found is not None
        return found.id

    def usage(self) -> list[Any]:
        with self.database.transaction() as connection:
            return list(connection.execute(select(usage).order_by(usage.c.at)))

    def dump(self) -> str:
        """Every row of every table."""
        with self.database.transaction() as connection:
            return repr([connection.execute(select(table)).all() for table in metadata.sorted_tables])

    def problems(self) -> list[str]:
        with self.database.transaction() as connection:
            return verify(connection)


StartPriced = Callable[..., tuple[ScriptedBackend, Any, Books]]


@pytest.fixture
def start_priced(start_server, database_url) -> StartPriced:
    """`start_priced(reply, price, funds=msat)` runs a server with one node, owned by the account "owner".

    The test runs on each kind of database.
    """

    def start(reply, price=PER_TOKEN, *, funds=0, house_bps=1000, lease_s=30.0, others=(), **options):
        backend = ScriptedBackend(reply, price=price)
        running = start_server(
            plugin_of(backend, *others),
            pricing=PricingSettings(house_bps=house_bps),
            ledger=LedgerSettings(lease_s=lease_s),
            storage=StorageSettings(url=database_url),
            **options,
        )
        with running.server.database.transaction() as connection:
            backend.owner = create_account(connection, "owner", now=time.time()).id
        backend.changed()
        books = Books(running.server.database)
        if funds:
            books.fund(funds)
        return backend, running, books

    return start
