"""What a node's owner has earned: today, ever, and pending."""

import asyncio

import pytest

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.earnings import LATELY_DAYS, EarningsReader, Income
from lightphon_core.ledger.maturity import mature
from lightphon_core.ledger.periods import DAY_US, SECOND_US
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import MAX_MSAT
from lightphon_core.settings import LedgerSettings
from lightphon_core.types import Earnings

DAY = 20_000 * DAY_US


class Books:
    """A ledger on a clock that is set by hand, in microseconds."""

    def __init__(self, database):
        self.database, self.now, self._entries = database, DAY, 0
        self.reader = EarningsReader(database, clock=lambda _: self.now)

    def post(self, debit, credit, amount):
        self._entries += 1
        command = Post("test", "test", str(self._entries), (Posting(debit, credit, amount),))
        with self.database.transaction() as connection:
            (answer,) = carry_out(connection, [command], clock=lambda _: self.now)
        assert not isinstance(answer, Exception), answer

    def earn(self, amount, origin=Origin.LIGHTNING, account="acc_a"):
        self.post("clearing:x", chart.earnings(account, origin), amount)

    def mature(self, **settings):
        with self.database.transaction() as connection:
            return mature(connection, LedgerSettings(**settings), clock=lambda _: self.now)

    def read(self, account="acc_a"):
        return asyncio.run(self.reader.of(account))


@pytest.fixture
def books(database):
    return Books(database)


def test_today_ever_and_pending(books):
    assert books.read() == Earnings(0, 0, 0)
    books.earn(5)
    books.earn(7, Origin.CARD)
    books.earn(100, account="acc_ab")
    assert books.read() == Earnings(today=12, total=12, pending=12)
    books.now += DAY_US - 1
    books.earn(1)
    assert books.read() == Earnings(today=13, total=13, pending=13)
    books.now += 1  # midnight
    assert books.read() == Earnings(today=0, total=13, pending=13)
    books.earn(2)
    assert books.read() == Earnings(today=2, total=15, pending=15)
    assert books.read("acc_ab") == Earnings(today=0, total=100, pending=100)


def test_lately_is_today_and_the_days_before(books):
    def income():
        return asyncio.run(books.reader.income("acc_a"))

    books.earn(5)
    books.now += (LATELY_DAYS - 1) * DAY_US
    books.earn(7)
    books.mature(earnings_delay_s=DAY_US // SECOND_US)
    assert income() == Income(today=7, lately=12, total=12, pending=7)
    books.now += DAY_US
    assert income() == Income(today=0, lately=7, total=12, pending=7)
    books.earn(1)
    assert income() == Income(today=1, lately=8, total=13, pending=8)


def test_what_has_matured_stays_earned_and_what_was_taken_back_does_not(books):
    books.earn(9)
    books.now += 3600 * SECOND_US
    assert books.mature(earnings_delay_s=60) == 1
    assert books.read() == Earnings(today=9, total=9, pending=0)
    books.earn(6)
    books.post(chart.earnings("acc_a", Origin.LIGHTNING), "clearing:x", 4)
    assert books.read() == Earnings(today=11, total=11, pending=2)
    books.now += DAY_US
    assert books.read() == Earnings(today=0, total=11, pending=2)


def test_sums_beyond_what_sqlite_adds_up(books):
    for _ in range(100):  # in all, more than 64 bits hold
        books.earn(MAX_MSAT)
        books.post(chart.earnings("acc_a", Origin.LIGHTNING), "clearing:x", MAX_MSAT)
    assert books.read() == Earnings(0, 0, 0)
