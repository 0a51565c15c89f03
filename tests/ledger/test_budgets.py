"""Budgets of keys: what they leave is all that can be set aside, by however many at once, and midnight opens no gap."""

import asyncio
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import delete, insert, select

from lightphon_core.accounts.people import delete_account
from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger.budgets import Budget, Period, budgets_of, set_budgets
from lightphon_core.ledger.commands import (
    Capture,
    ExtendHold,
    InsufficientFunds,
    OverBudget,
    ReapExpired,
    Taken,
)
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.ledger.periods import DAY_US, began, ends
from lightphon_core.ledger.usage import usage_of
from lightphon_core.money import MoneyError
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import accounts, budgets, credentials

DAY, MONTH, TOTAL = Period


def us(*when):
    """A time of UTC in microseconds."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000


NOON = us(2027, 1, 31, 12)


def used(id_, key="k", **more):
    counted = {"prompt_tokens": 3, "completion_tokens": 4, "ms": 5}
    return {"id": id_, "account_id": "u", "credential_id": key, "model": "m", "node_id": "n", **counted, **more}


@pytest.fixture
def keys(books):
    """Books at noon of a month's last day: the account "u" has the keys "k" and "other", and 10,000 msat."""
    books.now = NOON
    with books.database.transaction() as connection:
        connection.execute(insert(accounts).values(id="u", name="u", created_at=1))
        shown = {"account_id": "u", "kind": "api_key", "name": "", "hint": "", "created_at": 1}
        connection.execute(insert(credentials), [{"id": key, "secret_hash": key, **shown} for key in ("k", "other")])
    books.fund("u", 10_000)
    return books


def limit(books, key="k", **amounts):
    with books.database.transaction() as connection:
        set_budgets(connection, key, {Period(period): amount for period, amount in amounts.items()}, clock=books.clock)


def spent_and_held(books, key="k"):
    """By period, as anybody is told."""
    with books.database.snapshot() as connection:
        return {each.period: (each.spent, each.held) for each in budgets_of(connection, [key], clock=books.clock)[key]}


@pytest.mark.parametrize(
    ("period", "at", "first", "last"),
    [
        (DAY, us(2027, 3, 1), us(2027, 3, 1), us(2027, 3, 2)),
        (DAY, us(2027, 3, 1) - 1, us(2027, 2, 28), us(2027, 3, 1)),
        (MONTH, us(2027, 12, 31, 23, 59, 59), us(2027, 12, 1), us(2028, 1, 1)),
        (MONTH, us(2028, 2, 29, 12), us(2028, 2, 1), us(2028, 3, 1)),
        (MONTH, us(2028, 3, 1), us(2028, 3, 1), us(2028, 4, 1)),
        (TOTAL, us(2028, 3, 1), 0, None),
    ],
)
def test_days_and_months_are_those_of_utc(period, at, first, last):
    assert (began(period, at), ends(period, at)) == (first, last)


def test_of_many_at_once_on_two_gateways_no_more_pass_than_the_budget_covers(keys, take, database_url):
    limit(keys, day=3_050, total=9_999)

    async def all_at_once():
        with Database(database_url) as other:
            ledgers = [Ledger(keys.database, clock=keys.clock), Ledger(other, clock=keys.clock)]
            taken = [ledgers[n % 2].submit(take(f"h{n}", 100, minimum=60, credential="k")) for n in range(100)]
            answers = await asyncio.gather(*taken, return_exceptions=True)
            more = await asyncio.gather(
                *(ledgers[n % 2].submit(ExtendHold(f"h{n}", 50, 0, 10)) for n in range(100) if passed(answers[n])),
            )
            paid = [ledgers[n % 2].submit(Capture(f"h{n}", 100)) for n in range(100) if passed(answers[n])]
            return answers, more, await asyncio.gather(*paid)

    def passed(answer):
        return isinstance(answer, Taken)

    answers, more, paid = asyncio.run(all_at_once())
    refused = [answer for answer in answers if isinstance(answer, OverBudget)]
    assert (len(paid), len(refused)) == (30, 70)
    assert {(each.period, each.amount, each.needed, each.left, each.held) for each in refused} == {
        (DAY, 3_050, 60, 50, 3_000)
    }
    assert sum(more) == 3_050  # the last 50 of it went to one of them
    assert (sum(paid), spent_and_held(keys)) == (3_000, {DAY: (3_000, 0), TOTAL: (3_000, 0)})


def test_the_smaller_of_wallet_and_budgets_is_what_there_is(keys, take):
    limit(keys, day=500, total=700)
    assert keys.one(take("h", 300, credential="k")) == Taken(300, 200)
    assert keys.one(take("h2", 900, minimum=1, credential="k")) == Taken(200, 0)
    assert keys.one(ExtendHold("h2", 5, 0, 10)) == 200  # refused, and told so by the amount
    assert keys.one(take("free", 0, credential="k")) == Taken(0, 0)
    # Neither another key nor what has none is bound by it.
    assert keys.one(take("h3", 1_000, credential="other")) == Taken(1_000, 8_500)
    assert keys.one(take("h4", 8_400)) == Taken(8_400, 100)
    with pytest.raises(InsufficientFunds):
        keys.one(take("h5", 101, credential="k"))


@pytest.mark.parametrize(
    ("amounts", "spent", "held", "named", "resets_at"),
    [
        ({"day": 100}, 0, 60, DAY, us(2027, 2, 1)),
        ({"day": 100, "month": 90}, 0, 60, MONTH, us(2027, 2, 1)),
        ({"day": 100, "total": 90}, 60, 0, TOTAL, None),
        # The month's is short only until the answers under way have ended; the day's is spent.
        ({"day": 60, "month": 100}, 30, 30, DAY, us(2027, 2, 1)),
    ],
)
def test_the_budget_that_is_short_for_longest_is_named(keys, take, amounts, spent, held, named, resets_at):
    limit(keys, **amounts)
    if spent:
        keys.do(take("h1", spent, credential="k"), Capture("h1", spent))
    keys.one(take("h2", held, credential="k"))
    with pytest.raises(OverBudget) as caught:
        keys.one(take("h3", 50, credential="k"))
    error = caught.value
    assert (error.period, error.amount, error.resets_at) == (named, amounts[named], resets_at)
    assert (error.needed, error.left, error.held) == (50, amounts[named] - spent - held, held)


def test_what_is_only_on_hold_is_told_from_what_is_spent(keys, take):
    limit(keys, day=100, total=1_000)
    keys.do(take("h1", 30, credential="k"), Capture("h1", 30), take("h2", 60, credential="k"))
    limit(keys, day=100, total=80)  # 20 over what is spent and held by now
    with pytest.raises(OverBudget) as caught:
        keys.one(take("h3", 60, credential="k"))
    # The day's has 70 once the hold has ended. Of the total 50 are left at most, so waiting does not help.
    assert (caught.value.period, caught.value.left, caught.value.held) == (TOTAL, 0, 50)


def test_midnight_opens_no_gap(keys, take):
    limit(keys, day=100, month=150, total=1_000)
    keys.do(take("h1", 40, credential="k"), Capture("h1", 40), take("h2", 60, credential="k"))
    keys.now = us(2027, 2, 1) - 1
    with pytest.raises(OverBudget):
        keys.one(take("h3", 1, credential="k"))
    keys.now += 1
    # A new day and a new month: what was spent is forgotten, what is held is not.
    assert spent_and_held(keys) == {DAY: (0, 60), MONTH: (0, 60), TOTAL: (40, 60)}
    assert keys.one(take("h3", 100, minimum=1, credential="k")) == Taken(40, 0)
    # It counts where it is settled.
    keys.do(Capture("h2", 50), Capture("h3", 40))
    assert spent_and_held(keys) == {DAY: (90, 0), MONTH: (90, 0), TOTAL: (130, 0)}
    keys.now += DAY_US
    assert keys.one(take("h4", 100, minimum=1, credential="k")) == Taken(60, 0)  # the month leaves no more


def test_a_clock_that_goes_back_gives_nothing_back(keys, take):
    limit(keys, day=100)
    keys.do(take("h1", 70, credential="k"), Capture("h1", 70))
    keys.now -= DAY_US
    with pytest.raises(OverBudget):
        keys.one(take("h2", 40, credential="k"))


@pytest.mark.parametrize("period", [DAY, MONTH])
def test_a_clock_that_was_far_ahead_costs_one_period_and_no_more(keys, take, period):
    """A day's budget was spent while the machine thought that it was another year: it is not gone until then."""
    keys.now += 400 * DAY_US
    limit(keys, **{period: 100})
    keys.do(take("h1", 70, credential="k"), Capture("h1", 70))
    keys.now -= 400 * DAY_US
    with pytest.raises(OverBudget) as caught:
        keys.one(take("h2", 40, credential="k"))
    keys.one(take("h2", 30, credential="k"))
    keys.do(Capture("h2", 30))
    assert spent_and_held(keys) == {period: (100, 0)}
    keys.now = caught.value.resets_at
    assert keys.one(take("h3", 100, credential="k")).amount == 100


def test_a_gateway_that_died_leaves_nothing_held_of_a_budget(keys, take):
    limit(keys, day=100, total=500)
    keys.do(take("h", 80, credential="k", lease_us=1_000), ExtendHold("h", 0, 30, 1_000))
    keys.now += 1_001
    assert keys.one(ReapExpired()) == 1
    assert spent_and_held(keys) == {DAY: (30, 0), TOTAL: (30, 0)}


def test_what_a_gateway_that_died_had_delivered_counts_on(keys, take):
    keys.one(take("h", 1_000, credential="k", note="m", lease_us=1_000))
    keys.one(ExtendHold("h", 0, 400, 1_000))
    keys.one(take("nothing", 1_000, credential="k", note="m", lease_us=1_000))
    keys.now += 1_001
    assert keys.one(ReapExpired()) == 2
    limit(keys, total=1_000)  # it had none until now
    assert spent_and_held(keys) == {TOTAL: (400, 0)}
    with keys.database.snapshot() as connection:
        today = date(2027, 1, 31)
        (sums,) = usage_of(connection, "u", first=today, last=today, by={"model", "key"})
    assert (sums.model, sums.credential_id, sums.requests, sums.cost_msat) == ("m", "k", 1, 400)


def test_budgets_are_set_as_a_whole_and_what_was_spent_counts_on(keys, take):
    with keys.database.snapshot() as connection:
        assert budgets_of(connection, ["k", "other"], clock=keys.clock) == {"k": [], "other": []}
    keys.now -= DAY_US
    keys.do(take("h1", 30, credential="k"), Capture("h1", 30, used("a1")))
    keys.now += DAY_US
    keys.do(take("h2", 20, credential="k"), Capture("h2", 20, used("a2", model="another")))
    keys.do(take("h3", 500, credential="other"), Capture("h3", 500, used("a3", "other")))
    keys.one(take("h4", 7, credential="k"))
    limit(keys, total=60, day=25)
    with keys.database.snapshot() as connection:
        assert budgets_of(connection, ["k"], clock=keys.clock)["k"] == [
            Budget(DAY, 25, 20, 7, us(2027, 2, 1)),
            Budget(TOTAL, 60, 50, 7, None),
        ]
    keys.do(Capture("h4", 7))  # of which no usage was kept
    limit(keys, month=100, total=10)
    assert spent_and_held(keys) == {MONTH: (50, 0), TOTAL: (57, 0)}
    limit(keys)
    assert spent_and_held(keys) == {}
    assert keys.one(take("h5", 900, credential="k")).amount == 900


def test_what_cannot_be_a_budget(keys):
    with pytest.raises(InvalidRequest, match="no credential with the id 'cred_none'"):
        limit(keys, "cred_none", day=1)
    for amount in (-1, 10**17 + 1, 1.5, True):
        with pytest.raises(MoneyError):
            limit(keys, day=5, total=amount)
    assert spent_and_held(keys) == {}


@pytest.mark.parametrize("gone", ["budget", "key", "account"])
def test_a_budget_that_vanished_meanwhile_is_no_error(keys, take, gone):
    limit(keys, day=100)
    keys.do(*(take(f"h{number}", 20, credential="k", lease_us=1_000) for number in range(3)))
    with keys.database.transaction() as connection:
        if gone == "account":
            delete_account(connection, "u")
        elif gone == "key":
            connection.execute(delete(credentials).where(credentials.c.id == "k"))
        else:
            set_budgets(connection, "k", {})
        assert connection.execute(select(budgets)).all() == []
    assert keys.do(ExtendHold("h0", 500, 0, 10), Capture("h0", 520), Capture("h1", 20)) == [520, 520, 20]
    keys.now += 1_001
    assert keys.one(ReapExpired()) == 1
    assert keys.balances()["wallet:u:lightning"] == 10_000 - 540
