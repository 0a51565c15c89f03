"""Books on each kind of database, a clock that stands still, and short words for what is done to them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from attrs import define, field
from sqlalchemy import Connection, insert, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Command, Post, Posting, TakeHold
from lightphon_core.ledger.owners import existing
from lightphon_core.ledger.scope import people_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import accounts, balances, holds

LEASE_US = 30_000_000


@define
class Books:
    """The ledger's tables, without an event loop. `now` is what its clock shows, in microseconds."""

    database: Database
    now: int = 1_800_000_000_000_000
    _ids: Iterator[int] = field(factory=count)

    def clock(self, _: Connection) -> int:
        return self.now

    def do(self, *commands: Command) -> list[Any]:
        """The answers of one batch. Those who must be there are."""
        self.settle_in(*people_of(commands))
        with self.database.transaction() as connection:
            return carry_out(connection, commands, clock=self.clock)

    def settle_in(self, *people: str) -> None:
        """These have accounts."""
        with self.database.transaction() as connection:
            for each in set(people) - existing(connection, people):
                connection.execute(insert(accounts).values(id=each, name=each, created_at=0))

    def one(self, command: Command) -> Any:
        """The answer of one command; what it raises is raised."""
        (answer,) = self.do(command)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fund(self, account: str, amount: int, origin: Origin = Origin.LIGHTNING, clearing: str = "test") -> None:
        """Put money into a wallet, from a clearing account."""
        posting = Posting(f"clearing:{clearing}", chart.wallet(account, origin), amount)
        self.one(Post("deposit", "test", f"deposit_{next(self._ids)}", (posting,)))

    def balances(self) -> dict[str, int]:
        """Every balance that is not 0."""
        with self.database.snapshot() as connection:
            rows = connection.execute(select(balances.c.account, balances.c.amount))
            return {row.account: row.amount for row in rows if row.amount}

    def held(self) -> dict[str, int]:
        """What is held of each account that has holds."""
        with self.database.snapshot() as connection:
            rows = connection.execute(select(balances.c.account, balances.c.held))
            return {row.account: row.held for row in rows if row.held}

    def holds(self) -> dict[str, Any]:
        with self.database.snapshot() as connection:
            return {row.id: row for row in connection.execute(select(holds))}

    def problems(self) -> list[str]:
        with self.database.snapshot() as connection:
            return verify(connection)


@pytest.fixture
def books(database: Database) -> Iterator[Books]:
    """Empty books. Whatever a test did to them, they are right at the end. The payee of `take` is there."""
    books = Books(database)
    books.settle_in("o")
    yield books
    assert books.problems() == []
    assert sum(books.balances().values()) == 0


def take(
    hold: str, amount: int, *, account: str = "u", minimum: int | None = None, payee: str | None = "o", **more: Any
):
    """A hold of exactly `amount`, unless told otherwise; the house gets a tenth."""
    least = amount if minimum is None else minimum
    options = {"house_bps": 1_000, "lease_us": LEASE_US, **more}
    return TakeHold(hold, account, amount, least, payee, **options)


@pytest.fixture(name="take")
def _take() -> Any:
    return take
