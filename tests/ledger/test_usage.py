"""Usage: summed up by day as it is written, looked at in any grouping, and its old rows removed."""

import asyncio
from collections import Counter
from datetime import UTC, date, datetime
from itertools import chain, combinations

import pytest
import structlog
from alembic import command
from attrs import astuple
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text

from lightphon_core.errors import StorageUnavailable
from lightphon_core.ledger.commands import Capture, Count
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.ledger.periods import DAY_US, day_of
from lightphon_core.ledger.usage import UsageSum, last_answers, prune_usage, usage_of, usual_cost
from lightphon_core.serving.keeper import Keeper
from lightphon_core.settings import LedgerSettings, UsageSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.migrations import scripts
from lightphon_core.storage.schema import credentials, usage, usage_days

FIRST, SECOND = date(2027, 1, 15), date(2027, 1, 16)


def used(id_, key="k", model="m", tokens=10, account="u"):
    counted = {"prompt_tokens": 1, "completion_tokens": tokens, "ms": 5}
    return {"id": id_, "account_id": account, "credential_id": key, "model": model, "node_id": "n", **counted}


@pytest.fixture
def two_days(books, take):
    """Answers of two days, in batches in which some share their sums."""
    books.now = 1_800_000_000_000_000  # 2027-01-15, 08:00
    books.fund("u", 10_000)
    books.do(take("h1", 700), Capture("h1", 700, used("a1")), Count(used("a2")), Count(used("a3", model="m2")))
    books.do(Count(used("a4", tokens=4)), Count(used("a5", key="k2")), Count(used("a6", account="v")))
    books.now += DAY_US
    books.do(take("h2", 50), Capture("h2", 50, used("a7", model="m2")))
    return books


def asked(books, *by, first=FIRST, last=SECOND, account="u", **options):
    with books.database.snapshot() as connection:
        return usage_of(connection, account, first=first, last=last, by=frozenset(by), **options)


def test_usage_in_every_grouping(two_days):
    assert asked(two_days) == [UsageSum(None, None, None, 6, 6, 54, 30, 750)]
    assert asked(two_days, "day") == [
        UsageSum(SECOND, None, None, 1, 1, 10, 5, 50),
        UsageSum(FIRST, None, None, 5, 5, 44, 25, 700),
    ]
    assert asked(two_days, "model") == [
        UsageSum(None, "m", None, 4, 4, 34, 20, 700),
        UsageSum(None, "m2", None, 2, 2, 20, 10, 50),
    ]
    assert asked(two_days, "key") == [
        UsageSum(None, None, "k", 5, 5, 44, 25, 750),
        UsageSum(None, None, "k2", 1, 1, 10, 5, 0),
    ]
    everything = [
        UsageSum(SECOND, "m2", "k", 1, 1, 10, 5, 50),
        UsageSum(FIRST, "m", "k", 3, 3, 24, 15, 700),
        UsageSum(FIRST, "m", "k2", 1, 1, 10, 5, 0),
        UsageSum(FIRST, "m2", "k", 1, 1, 10, 5, 0),
    ]
    assert asked(two_days, "day", "model", "key") == everything
    assert asked(two_days, "key", "model", "day", limit=2) == everything[:2]


def test_usage_is_of_one_account_and_of_the_days_that_were_asked_for(two_days):
    assert [each.requests for each in asked(two_days, last=FIRST)] == [5]
    assert [each.requests for each in asked(two_days, "day", first=SECOND, last=date.max)] == [1]
    assert [each.requests for each in asked(two_days, first=date.min, account="v")] == [1]
    assert asked(two_days, account="w") == asked(two_days, "day", first=SECOND, last=FIRST) == []


async def test_old_rows_go_in_portions_and_their_sums_and_balances_stay(two_days, monkeypatch):
    monkeypatch.setattr("lightphon_core.ledger.ledger.PRUNED_AT_ONCE", 2)
    before = (two_days.balances(), asked(two_days, "day", "model", "key"))
    two_days.do(Count(used("b1", account="x")))
    ledger = Ledger(two_days.database, clock=two_days.clock)
    assert await ledger.prune_usage(1) == 0  # a day old, and kept for a day
    two_days.now += 1
    assert await ledger.prune_usage(1) == 6
    with two_days.database.snapshot() as connection:
        assert set(connection.scalars(select(usage.c.id))) == {"a7", "b1"}
    assert (two_days.balances(), asked(two_days, "day", "model", "key")) == before


async def test_a_keeper_removes_old_rows_at_once_and_goes_on_after_a_database_that_is_gone(two_days, monkeypatch):
    monkeypatch.setattr("lightphon_core.serving.keeper.PRUNE_EVERY_S", 0)
    two_days.now += 1
    ledger = Ledger(two_days.database, clock=two_days.clock)
    answers, pruned = [StorageUnavailable("Gone.", retry_after=1)], asyncio.Event()

    async def prune(days):
        if answers:
            raise answers.pop()
        await Ledger.prune_usage(ledger, days)
        pruned.set()

    monkeypatch.setattr(ledger, "prune_usage", prune)
    log = structlog.stdlib.get_logger()
    keeping = asyncio.create_task(Keeper(ledger, LedgerSettings(), UsageSettings(detail_days=1), log).prune())
    async with asyncio.timeout(10):
        await pruned.wait()
    keeping.cancel()
    with two_days.database.snapshot() as connection:
        assert list(connection.scalars(select(usage.c.id))) == ["a7"]


def test_the_oldest_go_first(two_days):
    with two_days.database.transaction() as connection:
        assert prune_usage(connection, before=two_days.now + 1, limit=6) == 6
        assert list(connection.scalars(select(usage.c.id))) == ["a7"]


def test_what_was_used_before_days_were_summed_up_is_counted_too(empty_database_url, database_kind):
    with Database(empty_database_url) as database:
        with database.transaction() as connection:
            config, _ = scripts()
            config.attributes["connection"] = connection
            command.upgrade(config, "0003")
            for number, at in enumerate((DAY_US - 1, DAY_US, DAY_US + 5, 2 * DAY_US - 1)):
                connection.execute(
                    text(
                        "INSERT INTO usage (id, at, account_id, credential_id, model, node_id, prompt_tokens,"
                        f" completion_tokens, ms, cost_msat) VALUES ('a{number}', {at}, 'u', 'k', 'm', 'n', 1, 2, 3, 4)"
                    )
                )
        migrate(database)
        with database.snapshot() as connection:
            days = connection.execute(select(usage_days).order_by(usage_days.c.day)).all()
            assert [(row.day, row.requests, row.completion_tokens, row.cost_msat) for row in days] == [
                (0, 1, 2, 4),
                (1, 3, 6, 12),
            ]
            assert connection.scalar(select(func.count()).select_from(usage)) == 4


# Microseconds around which days, months, a leap day and a year turn; and the hours of summer time, which UTC has not.
TURNS = [
    int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000
    for when in (
        (2028, 2, 29),
        (2028, 3, 1),
        (2027, 3, 1),
        (2027, 12, 31),
        (2028, 1, 1),
        (2027, 3, 28, 1),
        (2027, 8, 15),
    )
]
MOMENTS = st.builds(int.__add__, st.sampled_from(TURNS), st.sampled_from([-DAY_US, -1, 0, 1, DAY_US - 1]))
ANSWERS = st.tuples(
    MOMENTS, st.sampled_from("kl"), st.sampled_from(["m", "=m"]), st.integers(0, 300), st.integers(0, 99)
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=st.lists(ANSWERS, max_size=12), pruned=MOMENTS)
def test_sums_are_those_of_the_answers_and_of_the_journal(books, take, history, pruned):
    """In every grouping, whatever was removed since; and what they cost is what left the wallet."""
    account = f"u{next(books._ids)}"
    books.fund(account, 10_000)
    for number, (at, key, model, cost, tokens) in enumerate(history):
        books.now, hold = at, f"{account}-{number}"
        row = used(hold, key=key, model=model, tokens=tokens, account=account)
        if cost:
            books.do(take(hold, 300, account=account), Capture(hold, cost, row))
        else:
            books.do(Count(row))
    with books.database.transaction() as connection:
        prune_usage(connection, before=pruned, limit=100)
        left = connection.scalars(select(usage.c.at).where(usage.c.account_id == account)).all()
    assert sorted(left) == sorted(at for at, *_ in history if at >= pruned)

    days = [datetime.fromtimestamp(at / 1_000_000, UTC).date() for at, *_ in history]
    assert [day_of(at) for at, *_ in history] == [(day - date(1970, 1, 1)).days for day in days]
    for by in chain.from_iterable(combinations(("day", "model", "key"), size) for size in range(4)):
        expected = Counter()
        for day, (_, key, model, cost, tokens) in zip(days, history, strict=True):
            about = {"day": day, "model": model, "key": key}
            group = tuple(about[name] if name in by else None for name in ("day", "model", "key"))
            for place, number in enumerate((1, 1, tokens, 5, cost)):
                expected[group, place] += number
        found = asked(books, *by, account=account, first=date.min, last=date.max)
        assert {
            (astuple(each)[:3], place): astuple(each)[3 + place] for each in found for place in range(5)
        } == expected
    (spent,) = [each.cost_msat for each in asked(books, account=account, first=date.min, last=date.max)] or [0]
    assert spent == 10_000 - books.balances()[f"wallet:{account}:lightning"]


def test_usage_of_some_models_alone(two_days):
    assert asked(two_days, "day", "model", models=["m2"]) == [
        UsageSum(SECOND, "m2", None, 1, 1, 10, 5, 50),
        UsageSum(FIRST, "m2", None, 1, 1, 10, 5, 0),
    ]
    assert asked(two_days, models=[]) == []


def test_the_day_of_the_last_answer_of_each_key(two_days):
    """By the sums: free answers count, and those whose rows were removed."""
    two_days.settle_in("u", "v")
    rows = [("k", "u"), ("k2", "u"), ("never", "u"), ("box", "v")]
    shown = {"kind": "api_key", "name": "", "hint": "", "created_at": 0}
    with two_days.database.transaction() as connection:
        for id_, account in rows:
            connection.execute(insert(credentials).values(id=id_, account_id=account, secret_hash=id_, **shown))
        prune_usage(connection, before=two_days.now + 1, limit=100)
        assert connection.scalar(select(func.count()).select_from(usage)) == 0
        assert last_answers(connection, [id_ for id_, _ in rows]) == {"k": SECOND, "k2": FIRST}
        assert last_answers(connection, ["k2"]) == {"k2": FIRST}
        assert last_answers(connection, ["never", "box", "unknown"]) == last_answers(connection, []) == {}


def test_what_an_answer_costs_usually(books, take):
    """The average of the last twenty answers, of those that were paid for, rounded up."""

    def usual(account="u"):
        with books.database.snapshot() as connection:
            return usual_cost(connection, account)

    books.fund("u", 100_000)
    assert usual() is None
    books.do(Count(used("free")))
    assert usual() is None
    for number, cost in enumerate([9_000, *[10] * 18, 31]):
        books.now += 1
        books.do(take(f"h{number}", cost), Capture(f"h{number}", cost, used(f"h{number}")))
    books.now += 1
    books.do(Count(used("free again")))
    assert usual() == 12  # 211 / 19: the first one is one too many ago
    assert usual("v") is None
