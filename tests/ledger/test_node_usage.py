"""What nodes served and earned is summed up by day as it is charged."""

from lightphon_core.ledger import chart
from lightphon_core.ledger.commands import Capture, Count, ReapExpired
from lightphon_core.ledger.node_usage import LATELY_DAYS, NodeUsage, Served, node_usage_of
from lightphon_core.ledger.periods import DAY_US

NOON = 1_800_014_400_000_000  # 2027-01-15


def used(id_, node="n", owner="o", **more):
    counted = {"prompt_tokens": 1, "completion_tokens": 10, "ms": 5}
    who = {"account_id": "u", "credential_id": "k", "model": "m", "node_id": node, "owner_id": owner}
    return {"id": id_, **who, **counted, **more}


def served(books, owner="o"):
    with books.database.snapshot() as connection:
        found = node_usage_of(connection, [owner, "nobody"], now=books.now)
    assert {account for account, _ in found} <= {owner}
    return {node: usage for (_, node), usage in found.items()}


def test_each_node_has_its_answers_and_what_its_owner_got(books, take):
    books.now = NOON - (LATELY_DAYS - 1) * DAY_US
    books.fund("u", 100_000)
    books.do(take("h1", 705), Capture("h1", 705, used("h1")))
    books.now = NOON
    books.do(take("h2", 500), Capture("h2", 400, used("h2")), Count(used("free")))
    books.do(take("h3", 333), Capture("h3", 333, used("h3", node="other")))
    today = Served(2, 2, 20, 10, 360)
    other = Served(1, 1, 10, 5, 300)
    assert served(books) == {
        "n": NodeUsage(today, Served(3, 3, 30, 15, 360 + 635)),
        "other": NodeUsage(other, other),
    }
    earned = sum(books.balances().get(chart.earnings("o", origin), 0) for origin in chart.SPENDING_ORDER)
    assert earned == 635 + 360 + 300

    books.now += DAY_US
    assert served(books)["n"] == NodeUsage(Served(), today)


def test_what_belongs_to_no_node_of_an_account_is_in_no_sum(books, take):
    books.now = NOON
    books.fund("u", 10_000)
    books.do(take("h1", 100, payee=None), Capture("h1", 100, used("h1", owner=None)))
    books.do(take("h2", 100, credential="k"), take("h3", 100), Capture("h3", 0))
    books.now += DAY_US
    books.do(ReapExpired())
    assert served(books) == served(books, "v") == {}
