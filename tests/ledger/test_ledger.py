"""The ledger in use: many at once, over several gateways on one database, and what fails fails alone."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import select

from lightphon_core.errors import StorageUnavailable
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import (
    Capture,
    Count,
    ExtendHold,
    HoldLost,
    InsufficientFunds,
    LedgerError,
    Overdrawn,
    Post,
    Posted,
    Posting,
    ReapExpired,
    Taken,
)
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.money import MAX_MSAT
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import usage


def used(id_, **more):
    """A row of usage."""
    tokens = {"prompt_tokens": 3, "completion_tokens": 4, "ms": 5}
    return {"id": id_, "account_id": "u", "credential_id": "c", "model": "m", "node_id": "n", **tokens, **more}


@pytest.fixture
async def ledgers(books, database_url):
    """Two gateways' ledgers on one database."""
    with Database(database_url) as other:
        both = [Ledger(books.database, clock=books.clock), Ledger(other, clock=books.clock)]
        yield both
        for ledger in both:
            await ledger.close()


async def gathered(ledgers, commands):
    """The answers of commands that are asked for at once, in turn of each ledger. Errors are answers too."""
    asked = [ledgers[number % len(ledgers)].submit(command) for number, command in enumerate(commands)]
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_of_200_that_want_a_balance_for_50_exactly_50_get_it(books, ledgers, take):
    books.fund("u", 50 * 1_000 + 999)
    answers = await gathered(ledgers, [take(f"h{number}", 1_000) for number in range(200)])
    passed = [f"h{number}" for number, answer in enumerate(answers) if isinstance(answer, Taken)]
    refused = [answer for answer in answers if isinstance(answer, InsufficientFunds)]
    assert (len(passed), len(refused)) == (50, 150)
    assert {(each.needed, each.available, each.held) for each in refused} == {(1_000, 999, 50_000)}
    charged = await gathered(ledgers, [Capture(name, 1_000) for name in passed])
    assert charged == [1_000] * 50
    assert books.balances() == {
        "clearing:test": -50_999,
        "wallet:u:lightning": 999,
        "earnings:o:lightning": 45_000,
        "house": 5_000,
    }
    assert books.holds() == {}


async def test_streams_that_extend_as_they_go_never_overdraw(books, ledgers, take):
    books.fund("u", 10_000)
    spent = []

    async def stream(number):
        ledger, dice = ledgers[number % 2], random.Random(number)
        try:
            held = (await ledger.do(take(f"h{number}", 100, minimum=10))).amount
        except InsufficientFunds:
            return
        used = 0
        while used <= held:
            used += dice.randint(1, 90)
            if used > held and (more := await ledger.do(ExtendHold(f"h{number}", 100, used, 10**7))) > held:
                held = more
        spent.append(await ledger.do(Capture(f"h{number}", used)))

    await asyncio.gather(*(stream(number) for number in range(40)))
    assert sum(spent) == 10_000  # all of it, and no more
    assert books.balances()["house"] + books.balances()["earnings:o:lightning"] == 10_000
    assert books.holds() == {}


async def test_a_hold_is_captured_once(books, ledgers, take):
    books.fund("u", 10_000)
    await ledgers[0].do(take("h", 1_000))
    answers = await gathered(ledgers, [Capture("h", amount, used(f"u{amount}")) for amount in range(500, 540)])
    charged = [answer for answer in answers if isinstance(answer, int)]
    assert len(charged) == 1
    assert Counter(map(type, answers)) == {int: 1, HoldLost: 39}
    assert books.balances()["wallet:u:lightning"] == 10_000 - charged[0]
    with books.database.snapshot() as connection:
        (row,) = connection.execute(select(usage))
    assert (row.cost_msat, row.at, row.completion_tokens) == (charged[0], books.now, 4)
    with pytest.raises(LedgerError, match="charged already"):
        await ledgers[1].do(take("h", 1_000))


async def test_a_deposit_is_credited_once(books, ledgers):
    deposit = Post("deposit", "stripe", "evt_1", (Posting("clearing:stripe", "wallet:u:card", 700),))
    answers = await gathered(ledgers, [deposit] * 40)
    assert Counter(answer.new for answer in answers) == {True: 1, False: 39}
    assert len({answer.entry for answer in answers}) == 1
    # The same id of another provider or kind is another one.
    others = [Post(kind, source, "evt_1", deposit.postings) for kind, source in (("x", "stripe"), ("deposit", "ln"))]
    assert [answer.new for answer in await gathered(ledgers, others)] == [True, True]
    assert books.balances()["wallet:u:card"] == 2_100


@pytest.mark.parametrize("attempt", range(5))
async def test_the_reaper_or_the_late_capture_but_not_both(books, ledgers, take, attempt):
    books.fund("u", 1_000)
    await ledgers[0].do(take("h", 800, lease_us=1_000))
    await ledgers[0].do(ExtendHold("h", 0, 300, 1_000))
    books.now += 1_001
    commands = [ReapExpired(), Capture("h", 700), ReapExpired(), Capture("h", 700)]
    answers = await gathered(ledgers, commands if attempt % 2 else commands[::-1])
    charged = 1_000 - books.balances()["wallet:u:lightning"]
    assert charged in (300, 700)
    captured = [answer for command, answer in zip(commands, answers if attempt % 2 else answers[::-1], strict=True)]
    assert captured.count(700) == (charged == 700)
    assert captured.count(1) == (charged == 300)
    assert books.holds() == books.held() == {}


async def test_a_gateway_that_stopped_past_its_lease_charges_nothing_twice(books, ledgers, take):
    stopped, other = ledgers
    books.fund("u", 1_000)
    await stopped.do(take("h", 800, lease_us=1_000))
    await stopped.do(ExtendHold("h", 0, 250, 1_000))
    assert await other.do(ReapExpired()) == 0  # it is still within its lease
    books.now += 1_001
    assert await other.do(ReapExpired()) == 1
    # Now it goes on as if nothing had happened.
    answers = await gathered([stopped], [ExtendHold("h", 100, 400, 1_000), Capture("h", 600), ReapExpired()])
    assert list(map(type, answers)) == [HoldLost, HoldLost, int]
    assert books.balances()["wallet:u:lightning"] == 750
    assert books.held() == {}


async def test_an_expired_hold_that_nobody_reaped_may_be_renewed(books, ledgers, take):
    books.fund("u", 1_000)
    await ledgers[0].do(take("h", 800, lease_us=1_000))
    books.now += 5_000
    # Asked for in this order, they stand so in one batch: who is renewed is not reaped.
    assert await gathered(ledgers[:1], [ExtendHold("h", 0, 100, 1_000), ReapExpired()]) == [800, 0]
    assert await ledgers[1].do(Capture("h", 500)) == 500


async def test_what_the_books_do_not_allow_leaves_the_rest_of_the_batch(books, ledgers, take):
    books.fund("u", 1_000)
    answers = await gathered(
        ledgers[:1],
        [
            take("h1", 600),
            take("h2", 600),
            Post("withdrawal", "test", "w", (Posting("wallet:u:lightning", "clearing:test", 401),)),
            Capture("h9", 1),
            Post("empty", "test", "e", ()),
            Capture("h1", 600),
            Post("withdrawal", "test", "w", (Posting("wallet:u:lightning", "clearing:test", 400),)),
            Count(used("u")),
        ],
    )
    kinds = [Taken, InsufficientFunds, Overdrawn, HoldLost, LedgerError, int, Posted, int]
    assert list(map(type, answers)) == kinds
    assert answers[6].new  # the refused one of the same id has not used it up
    assert books.balances()["clearing:test"] == -600


async def test_what_the_database_refuses_leaves_the_rest_of_the_batch(books, ledgers, take):
    books.fund("u", 1_000)
    bad = [
        Count(used("u2", model=None)),
        Count(used("u1")),
        Capture("h1", 100, used("u4", ms=object())),
        Post("k", "s", None, (Posting("clearing:test", "wallet:u:card", 5),)),
    ]
    good = [take("h1", 300), take("h2", 300), Count(used("u1"))]
    answers = await gathered(ledgers[:1], [*good, *bad, Capture("h2", 300)])
    assert list(map(type, answers[:3])) == [Taken, Taken, int]
    assert [isinstance(answer, Exception) for answer in answers[3:7]] == [True] * 4
    assert answers[7] == 300
    # What went wrong with its usage has not been charged: the hold is still there.
    assert set(books.holds()) == {"h1"}
    assert books.balances()["wallet:u:lightning"] == 700


async def test_a_caller_that_goes_away_does_not_stop_its_command(books, ledgers, take):
    books.fund("u", 1_000)
    waiting = asyncio.create_task(ledgers[0].do(take("h", 400)))
    await asyncio.sleep(0)  # one turn of the loop: it has asked
    waiting.cancel()
    await ledgers[0].close()
    assert await ledgers[1].do(Capture("h", 400)) == 400


async def test_a_database_that_is_gone_is_said_to_each(books, take, database_url):
    with Database(database_url) as database:
        ledger = Ledger(database)
    answers = await gathered([ledger], [take(f"h{number}", 0) for number in range(3)])
    assert list(map(type, answers)) == [StorageUnavailable] * 3
    assert len(set(map(id, answers))) == 3


def test_the_dearest_kind_of_money_goes_last_and_earnings_keep_its_origin(books, take):
    for origin, amount in (("earned", 400), ("lightning", 300), ("card", 200), ("granted", 100)):
        books.fund("u", amount, Origin(origin))
    assert books.one(take("h", 850, house_bps=1_111)) == Taken(850, 150)
    assert books.held() == {
        "wallet:u:granted": 100,
        "wallet:u:card": 200,
        "wallet:u:lightning": 300,
        "wallet:u:earned": 250,
    }
    assert books.one(Capture("h", 451)) == 451
    after = books.balances()
    assert {name: amount for name, amount in after.items() if name.startswith("wallet:")} == {
        "wallet:u:lightning": 149,
        "wallet:u:earned": 400,
    }
    assert after["house"] == 451 * 1_111 // 10_000 == 50
    # 100, 200 and 151 less what the house's share of the running total grew by: 11, 22 and 17.
    assert {name: amount for name, amount in after.items() if name.startswith("earnings:")} == {
        "earnings:o:granted": 89,
        "earnings:o:card": 178,
        "earnings:o:lightning": 134,
    }
    assert books.held() == {}


def test_without_a_payee_the_house_earns(books, take):
    books.fund("u", 100)
    books.one(take("h", 70, payee=None))
    books.one(Capture("h", 60))
    assert books.balances() == {"clearing:test": -100, "wallet:u:lightning": 40, "house": 60}


def test_a_node_of_ones_own_is_paid_like_any_other(books, take):
    books.fund("u", 100)
    books.one(take("h", 70, payee="u", house_bps=0))
    books.one(Capture("h", 60))
    assert books.balances() == {"clearing:test": -100, "wallet:u:lightning": 40, "earnings:u:lightning": 60}


def test_a_hold_takes_what_there_is_down_to_the_minimum(books, take):
    books.fund("u", 100)
    with pytest.raises(InsufficientFunds) as caught:
        books.one(take("h", 500, minimum=101))
    assert (caught.value.needed, caught.value.available, caught.value.held) == (101, 100, 0)
    assert books.one(take("h", 500, minimum=100)) == Taken(100, 0)
    assert books.one(ExtendHold("h", 5, 0, 10)) == 100  # refused, and told so by the amount
    assert books.one(take("none", 0)) == Taken(0, 0)
    assert books.one(Capture("none", 9)) == 0
    assert books.one(Capture("h", 500)) == 100  # never more than was held


def test_a_released_hold_may_be_taken_anew_even_in_the_same_batch(books, take):
    books.fund("u", 100)
    books.one(take("h", 60))
    answers = books.do(Capture("h", 0), take("h", 90), ExtendHold("h", 10, 5, 10), Capture("h", 95))
    assert answers == [0, Taken(90, 10), 100, 95]
    assert books.holds() == books.held() == {}


def test_the_largest_amounts(books, take):
    books.fund("u", MAX_MSAT)
    with pytest.raises(LedgerError, match="wallet:u:lightning would hold more money than there is"):
        books.fund("u", 1, clearing="other")
    with pytest.raises(LedgerError, match="clearing:test would hold more money"):
        books.fund("v", 1)
    assert books.one(take("h", MAX_MSAT, house_bps=9_999)).amount == MAX_MSAT
    assert books.one(Capture("h", MAX_MSAT)) == MAX_MSAT
    assert books.balances()["house"] == MAX_MSAT // 10_000 * 9_999
    # More in all than 64 bits hold.
    for number in range(100):
        books.fund(f"rich{number}", MAX_MSAT, clearing=f"bank{number}")
    books.one(take("full", MAX_MSAT // 10_000 + 1, account="rich0", payee=None))
    books.one(take("fits", MAX_MSAT // 10_000, account="rich1", payee=None, lease_us=0))
    books.one(ExtendHold("full", 0, MAX_MSAT, 0))
    books.one(ExtendHold("fits", 0, MAX_MSAT, 0))
    with pytest.raises(LedgerError, match="house would hold more money than there is"):
        books.one(Capture("full", MAX_MSAT))
    assert set(books.holds()) == {"full", "fits"}
    books.now += 1
    # The one that cannot be settled does not keep the other from it.
    assert books.one(ReapExpired()) == 1
    assert books.balances()["house"] == MAX_MSAT
    assert set(books.holds()) == {"full"}


def test_many_expired_holds_are_reaped_in_portions(books, take, monkeypatch):
    monkeypatch.setattr("lightphon_core.ledger.store._select_expired", _limited(2))
    books.fund("u", 100)
    books.do(*(take(f"h{number}", 10, lease_us=0) for number in range(5)))
    books.now += 1
    assert [books.one(ReapExpired()) for _ in range(4)] == [2, 2, 1, 0]


def _limited(number):
    from lightphon_core.ledger import store

    return store._select_expired.limit(number)
