"""What accounts have earned with their nodes: today, lately, ever, and what of it is still pending."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, and_, func, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import SPENDING_ORDER
from lightphon_core.ledger.maturity import MATURITY
from lightphon_core.ledger.periods import DAY_US, Period, began
from lightphon_core.ledger.statement import balances_of
from lightphon_core.ledger.store import Clock
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import entries, postings
from lightphon_core.types import Earnings

REMEMBERED_ACCOUNTS = 10_000
LATELY_DAYS = 30
"""Today is one of them."""

_SPLIT = 10**9


@frozen
class _Before:
    """What was earned before a day began (`since`, in microseconds), and what of it `lately`."""

    since: int
    amount: int
    lately: int


@frozen
class Income:
    """In msat: since midnight UTC, in the last `LATELY_DAYS` days, and ever. `pending` of it may not be used yet."""

    today: int
    lately: int
    total: int
    pending: int


class EarningsReader:
    """Reads what accounts have earned. What was earned before today no longer changes, so it is summed up once a day
    for each account, and only today's answers each time."""

    def __init__(self, database: Database, *, clock: Clock = database_now) -> None:
        self._database = database
        self._clock = clock
        self._before: OrderedDict[str, _Before] = OrderedDict()

    async def of(self, account_id: str) -> Earnings:
        """The earnings of the account of this id, as plugins are told. Raises `StorageUnavailable`."""
        income = await self.income(account_id)
        return Earnings(today=income.today, total=income.total, pending=income.pending)

    async def income(self, account_id: str) -> Income:
        """The earnings of the account of this id. Raises `StorageUnavailable`."""
        known = self._before.get(account_id)
        income, before = await self._database.read(lambda connection: self._read(connection, account_id, known))
        self._before[account_id] = before
        self._before.move_to_end(account_id)
        while len(self._before) > REMEMBERED_ACCOUNTS:
            self._before.popitem(last=False)
        return income

    def _read(self, connection: Connection, account_id: str, known: _Before | None) -> tuple[Income, _Before]:
        names = [chart.earnings(account_id, origin) for origin in SPENDING_ORDER]
        midnight = began(Period.DAY, self._clock(connection))
        if known is None or known.since != midnight:
            recently = and_(postings.c.at >= midnight - (LATELY_DAYS - 1) * DAY_US, postings.c.at < midnight)
            known = _Before(
                midnight,
                _earned(connection, names, postings.c.at < midnight),
                _earned(connection, names, recently),
            )
        today = _earned(connection, names, postings.c.at >= midnight)
        pending = sum(amount for amount, _ in balances_of(connection, names).values())
        return Income(today, known.lately + today, known.amount + today, pending), known


def _earned(connection: Connection, names: Sequence[str], when: ColumnElement[bool]) -> int:
    """What came in, less what was taken back. What has matured left for the wallet, and stays earned."""
    came = _sum(connection, and_(postings.c.credit.in_(names), when))
    matured = select(entries.c.id).where(entries.c.id == postings.c.entry_id, entries.c.kind == MATURITY).exists()
    return came - _sum(connection, and_(postings.c.debit.in_(names), when, ~matured))


def _sum(connection: Connection, which: ColumnElement[bool]) -> int:
    # In two parts, since SQLite's sums are of 64 bits.
    high = func.coalesce(func.sum(postings.c.amount // _SPLIT), 0)
    low = func.coalesce(func.sum(postings.c.amount % _SPLIT), 0)
    row = connection.execute(select(high, low).where(which)).one()
    return int(row[0]) * _SPLIT + int(row[1])
