"""What stands behind the lines of a statement."""

from lightphon_core.ledger import chart
from lightphon_core.ledger.background import Answer, Background, backgrounds
from lightphon_core.ledger.commands import Capture, Post, Posting
from lightphon_core.ledger.statement import statement


def used(id_, account="u"):
    counted = {"prompt_tokens": 7, "completion_tokens": 3, "ms": 5}
    return {"id": id_, "account_id": account, "credential_id": "k", "model": "m", "node_id": "n", **counted}


def behind(books, account="u"):
    with books.database.snapshot() as connection:
        lines = statement(connection, chart.wallets(account))
        found = backgrounds(connection, account, lines)
        assert set(found) == {line.id for line in lines}
        return [(line.kind, found[line.id]) for line in lines]


def test_a_charge_has_its_answer_for_as_long_as_its_row_is_kept(books, take):
    books.fund("u", 1_000)
    books.now += 1
    books.do(take("h1", 100), Capture("h1", 90, used("h1")))
    books.now += 1
    books.do(take("h2", 100), Capture("h2", 80))
    assert behind(books) == [
        ("charge", Background("gateway")),
        ("charge", Background("gateway", Answer("m", "k", 7, 3, 5))),
        ("deposit", Background("test")),
    ]


def test_somebody_elses_answer_is_not_shown(books, take):
    books.fund("u", 1_000)
    books.now += 1
    books.do(take("h1", 100), Capture("h1", 90, used("h1", account="v")))
    assert behind(books)[0] == ("charge", Background("gateway"))


def test_what_entries_do_to_a_debt(books):
    books.fund("u", 1_000)
    owed, wallet = chart.receivable("u"), chart.wallet("u", chart.Origin.LIGHTNING)
    taken = (Posting(owed, "clearing:test", 1_500), Posting(wallet, owed, 1_000))
    books.now += 1
    books.one(Post("reversal", "test", "r", taken))
    books.now += 1
    came = (Posting("clearing:test", wallet, 2_000), Posting(wallet, owed, 500))
    books.one(Post("deposit", "test", "again", came))
    assert behind(books)[:2] == [
        ("deposit", Background("test", settled=500)),
        ("reversal", Background("test", claimed=1_500, settled=1_000)),
    ]
