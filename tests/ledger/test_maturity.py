"""Earnings wait, by the origin of what was spent, and become the owner's to use once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lightphon_core.ledger.chart import Origin, earnings
from lightphon_core.ledger.commands import Capture, Post, Posting
from lightphon_core.ledger.maturity import mature
from lightphon_core.money import MAX_MSAT
from lightphon_core.settings import LedgerSettings
from lightphon_core.storage.engine import Database

DAY_S = 86_400
DELAYS = LedgerSettings(earnings_delay_s=DAY_S, card_earnings_delay_s=10 * DAY_S)


@pytest.fixture
def earn(books, take):
    """`earn(amount, origin)`: the owner earns that much, all of it, from money of that origin."""
    made = iter(range(1000))

    def earn(amount, origin=Origin.LIGHTNING, owner="o"):
        number = next(made)
        books.fund(f"u{number}", amount, origin, clearing=f"bank{number}")
        books.one(take(f"h{number}", amount, account=f"u{number}", payee=owner, house_bps=0))
        books.one(Capture(f"h{number}", amount))

    return earn


def matured(books, settings=DELAYS):
    with books.database.transaction() as connection:
        return mature(connection, settings, clock=books.clock)


def wait(books, seconds):
    books.now += seconds * 1_000_000


def earned(books, owner="o"):
    return books.balances().get(f"wallet:{owner}:earned", 0)


def test_each_origin_waits_for_its_time(books, earn):
    earn(100)
    earn(30, Origin.CARD)
    earn(5, Origin.GRANTED, owner="p")
    assert matured(books) == 0
    wait(books, DAY_S)
    assert matured(books) == 2
    assert matured(books) == 0  # once
    assert (earned(books), earned(books, "p")) == (100, 5)
    assert books.balances()["earnings:o:card"] == 30
    earn(7)  # after the others, so it waits on
    wait(books, 9 * DAY_S - 1)
    assert matured(books) == 1
    assert earned(books) == 107
    wait(books, 1)
    assert matured(books) == 1
    assert earned(books) == 137
    assert not [name for name in books.balances() if name.startswith("earnings:")]


def test_without_a_delay_it_is_available_at_once(books, earn):
    earn(100)
    earn(50, Origin.CARD)
    assert matured(books, LedgerSettings(earnings_delay_s=0, card_earnings_delay_s=0)) == 2
    assert earned(books) == 150


def test_what_is_taken_back_is_taken_from_the_oldest(books, earn):
    earn(100)
    wait(books, DAY_S // 2)
    earn(40)
    name = earnings("o", Origin.LIGHTNING)
    books.one(Post("reversal", "test", "r1", (Posting(name, "clearing:test", 70),)))
    wait(books, DAY_S // 2)
    assert matured(books) == 1
    assert earned(books) == 30
    wait(books, DAY_S // 4)
    books.one(Post("reversal", "test", "r2", (Posting(name, "clearing:test", 25),)))
    assert matured(books) == 0  # of the first nothing is left to mature
    wait(books, DAY_S)
    assert matured(books) == 1
    assert earned(books) == 45


def test_two_gateways_mature_the_same_money_once(books, earn, database_url):
    for number in range(5):
        earn(100, owner=f"o{number}")
    wait(books, DAY_S)
    barrier = threading.Barrier(4)

    def run():
        with Database(database_url) as database:
            barrier.wait(20)
            with database.transaction() as connection:
                return mature(connection, DELAYS, clock=books.clock)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(started.result(60) for started in [pool.submit(run) for _ in range(4)]) == [0, 0, 0, 5]
    assert [earned(books, f"o{number}") for number in range(5)] == [100] * 5


def test_sums_of_new_earnings_may_be_of_any_size(books, earn):
    # All of it moves away again each time, so that the account's turnover is more than 64 bits hold.
    for number in range(100):
        earn(MAX_MSAT)
        if number < 99:
            paid = Posting(earnings("o", Origin.LIGHTNING), f"clearing:back{number}", MAX_MSAT)
            books.one(Post("reversal", "test", f"r{number}", (paid,)))
    assert matured(books) == 0
    wait(books, DAY_S)
    assert matured(books) == 1
    assert earned(books) == MAX_MSAT


def test_an_owner_who_cannot_hold_more_does_not_stop_the_others(books, earn):
    books.fund("o", MAX_MSAT, Origin.EARNED)
    earn(1)
    earn(2, owner="p")
    wait(books, DAY_S)
    assert matured(books) == 1
    assert earned(books, "p") == 2
