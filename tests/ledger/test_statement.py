"""What an account has, and how it came about."""

import pytest

from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger import chart
from lightphon_core.ledger.adjustment import credit, debit
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Capture, Overdrawn, Post, Posting
from lightphon_core.ledger.statement import Wallet, statement, wallet_of
from lightphon_core.money import MoneyError


def lines(books, names, limit=50):
    """Kind, note and amount of each line, the newest first."""
    with books.database.snapshot() as connection:
        return [(line.kind, line.note, line.amount) for line in statement(connection, names, limit=limit)]


@pytest.fixture
def traded(books, take):
    """A user who bought from an owner, and from a node of their own."""
    books.fund("u", 1_000, Origin.CARD)
    books.now += 1
    books.one(credit("u", 50, " welcome "))
    books.now += 1
    books.one(take("h1", 200, note="a model"))
    books.one(Capture("h1", 100))
    books.now += 1
    books.one(take("h2", 300, payee="u"))
    books.one(Capture("h2", 200))
    books.now += 1
    books.one(take("h3", 30))
    return books


def test_a_wallet(traded):
    with traded.database.snapshot() as connection:
        assert wallet_of(connection, "u") == Wallet(
            available=720,
            held=30,
            by_origin={Origin.GRANTED: 0, Origin.CARD: 750, Origin.LIGHTNING: 0, Origin.EARNED: 0},
            pending={Origin.GRANTED: 0, Origin.CARD: 180, Origin.LIGHTNING: 0, Origin.EARNED: 0},
        )
        assert wallet_of(connection, "o").pending == {
            Origin.GRANTED: 45,
            Origin.CARD: 45,
            Origin.LIGHTNING: 0,
            Origin.EARNED: 0,
        }
        nobody = wallet_of(connection, "nobody")
    assert (nobody.available, nobody.held, sum(nobody.by_origin.values())) == (0, 0, 0)


def test_a_statement_from_each_side(traded):
    assert lines(traded, chart.wallets("u")) == [
        ("charge", "", -200),
        ("charge", "a model", -100),
        ("adjustment", "welcome", 50),
        ("deposit", "", 1_000),
    ]
    assert lines(traded, chart.personal("u"))[0] == ("charge", "", -20)  # what was paid to oneself is still one's own
    assert lines(traded, chart.personal("o")) == [("charge", "a model", 90)]
    assert lines(traded, ["house"]) == [("charge", "", 20), ("charge", "a model", 10)]
    assert lines(traded, [chart.ADJUSTMENTS]) == [("adjustment", "welcome", -50)]
    assert lines(traded, ["nothing"]) == []


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_latest_lines(traded, limit):
    assert lines(traded, chart.personal("u"), limit) == lines(traded, chart.personal("u"))[:limit]
    assert len(lines(traded, chart.wallets("u"), limit)) == limit


def test_entries_of_one_batch_stand_in_the_order_in_which_they_were_made(books):
    posts = [
        Post("deposit", "test", f"{number}", (Posting("clearing:test", "wallet:u:card", number + 1),))
        for number in range(40)
    ]
    books.do(*posts)
    assert [amount for _, _, amount in lines(books, ["wallet:u:card"])] == list(range(40, 0, -1))


def test_adjustments_have_a_reason_and_an_amount(books):
    for reason in ("", "  ", "a\nb", "x" * 201, "\x1b[1m"):
        with pytest.raises(InvalidRequest, match="A reason has 1 to 200"):
            credit("u", 1, reason)
    with pytest.raises(MoneyError):
        credit("u", 0, "none")
    books.one(credit("u", 100, "one"))
    books.one(credit("u", 100, "one"))  # each is one of its own
    with pytest.raises(Overdrawn, match="wallet:u:granted has 200 msat, not 201"):
        books.one(debit("u", 201, "too much"))
    books.one(debit("u", 150, "back"))
    assert books.balances() == {"adjustments": -50, "wallet:u:granted": 50}


def test_a_debit_leaves_alone_what_is_held(books, take):
    books.one(credit("u", 100, "one"))
    books.one(take("h", 60))
    with pytest.raises(Overdrawn):
        books.one(debit("u", 41, "too much"))
    books.one(debit("u", 40, "what is left"))
