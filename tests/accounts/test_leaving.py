"""Money and somebody who leaves, in either order and at once, on each kind of database: none ends up with nobody."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest
from attrs import evolve
from sqlalchemy import select

from lightphon_core.accounts.membership import Membership
from lightphon_core.accounts.passwords import Passwords
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.stored_limiter import StoredLimiter
from lightphon_core.errors import InvalidRequest, Unavailable
from lightphon_core.host import SystemClock
from lightphon_core.ledger import adjustment, audit, chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import NoSuchAccount, Post, Posting, TakeHold
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.ledger.obligations import obligations_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import sats
from lightphon_core.serving.tab import Terms, open_tab
from lightphon_core.settings import AccountSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import accounts, balances
from lightphon_core.types import Price

GIFT = 5_000
FIRST = ["money first", "leaving first"]


@pytest.fixture
def account(database):
    """Whoever leaves."""
    with database.transaction() as connection:
        return create_account(connection, "leaver", now=time.time())


@pytest.fixture
def membership():
    """`membership(database)`: of a server on that database."""
    passwords = Passwords()
    limited = AccountSettings()
    yield lambda database: Membership(
        database, passwords, limited, SystemClock(), obligations_of, adjustment.give_up, StoredLimiter(database)
    )
    passwords.close()


@pytest.fixture
def nobodys(database):
    """`nobodys()`: what wallets and earnings hold whose account is gone, by name. The books are right."""

    def look():
        with database.snapshot() as connection:
            assert audit.verify(connection) == []
            there = set(connection.scalars(select(accounts.c.id)))
            rows = connection.execute(select(balances.c.account, balances.c.amount))
            return {
                row.account: row.amount
                for row in rows
                if row.amount and (owner := chart.owner(row.account)) is not None and owner not in there
            }

    return look


@contextmanager
def held_up(database):
    """Nothing is written meanwhile; what was asked for goes on afterwards, in its order, in one transaction."""
    busy, go = threading.Event(), threading.Event()

    def wait(_):
        busy.set()
        assert go.wait(20)

    blocked = asyncio.ensure_future(database.write(wait))
    try:
        yield asyncio.to_thread(busy.wait, 20)
    finally:
        go.set()
    blocked.add_done_callback(lambda done: done.result())


async def both(database, first, second):
    """What two who ask for something are answered, the first of whom is heard first."""
    with held_up(database) as is_busy:
        assert await is_busy
        asked = []
        for work in (first, second):
            asked.append(asyncio.ensure_future(work))
            for _ in range(5):  # it comes as far as the database
                await asyncio.sleep(0)
    return await asyncio.gather(*asked, return_exceptions=True)


class TestCredit:
    @pytest.mark.parametrize("first", FIRST)
    async def test_one_of_both_is_refused(self, database, account, membership, nobodys, first):
        ledger = Ledger(database)
        giving = ledger.do(adjustment.credit(account.id, GIFT, "gift"))
        leaving = membership(database).delete(account.id)
        order = (giving, leaving) if first == FIRST[0] else (leaving, giving)
        refused = (await both(database, *order))[1]
        assert isinstance(refused, InvalidRequest if first == FIRST[0] else NoSuchAccount)
        assert nobodys() == {}
        with database.snapshot() as connection:
            wallet = connection.scalar(select(balances.c.amount).where(balances.c.account.startswith("wallet:")))
        assert wallet == (GIFT if first == FIRST[0] else None)

    async def test_on_two_servers_at_once(self, database, database_url, membership, nobodys):
        with database.transaction() as connection:
            people = [create_account(connection, f"leaver-{n}", now=time.time()).id for n in range(20)]
        with Database(database_url) as other:
            ledger, members = Ledger(database), membership(other)
            giving = [ledger.do(adjustment.credit(each, GIFT, "gift")) for each in people]
            leaving = [members.delete(each) for each in people]
            answers = await asyncio.gather(*giving, *leaving, return_exceptions=True)
        given, left = ([not isinstance(each, Exception) for each in part] for part in (answers[:20], answers[20:]))
        assert [a != b for a, b in zip(given, left, strict=True)] == [True] * 20
        assert nobodys() == {}


class TestEarnings:
    """Somebody deletes the account while a node of it is about to be given a job."""

    @pytest.mark.parametrize("first", FIRST)
    async def test_an_answer_is_not_begun_for_a_node_of_nobody(self, database, account, membership, nobodys, first):
        with database.transaction() as connection:
            user = create_account(connection, "user", now=time.time())
            carry_out(connection, [adjustment.credit(user.id, GIFT, "gift")])
        ledger = Ledger(database)
        asking = open_tab(
            ledger,
            Terms(Price(per_request=1_000), account.id, 0),
            hold="job_1",
            account=user.id,
            credential=None,
            prompt_tokens=1,
            max_tokens=1,
            n=1,
            lease_us=30_000_000,
            note="",
        )
        leaving = membership(database).delete(account.id)
        order = (asking, leaving) if first == FIRST[0] else (leaving, asking)
        refused = (await both(database, *order))[1]
        if first == FIRST[0]:
            assert isinstance(refused, InvalidRequest)
            assert "under way" in refused.message
        else:
            assert isinstance(refused, Unavailable)  # as of a node that failed: the next one is tried
        assert nobodys() == {}
        await ledger.close()

    def test_the_house_may_be_the_payee(self, database):
        with database.transaction() as connection:
            answers = carry_out(connection, [TakeHold("job_1", "acc_x", 0, 0, None, 0, 1)])
        assert not isinstance(answers[0], Exception)


class TestTheRest:
    """Few wallets end at 0, and less than an answer costs can be neither spent nor withdrawn."""

    @pytest.fixture
    def has(self, database, account):
        """`has(amount, origin)`: the leaver's wallet has so much more."""

        def fund(amount, origin):
            posting = Posting("clearing:test", chart.wallet(account.id, origin), amount)
            with database.transaction() as connection:
                (answer,) = carry_out(connection, [Post("deposit", "test", f"{origin}", (posting,))])
            assert not isinstance(answer, Exception)

        return fund

    async def test_is_given_up_if_one_says_so(self, database, account, membership, nobodys, has):
        for amount, origin in ((300, Origin.LIGHTNING), (20, Origin.CARD), (1, Origin.EARNED)):
            has(amount, origin)
        members = membership(database)
        for too_little in (0, 320):
            with pytest.raises(InvalidRequest, match=f"{sats(321)} sats: spend or withdraw them, or give them up"):
                await members.delete(account.id, give_up_msat=too_little)
        await members.delete(account.id, give_up_msat=321)
        assert nobodys() == {}
        with database.snapshot() as connection:
            assert connection.scalar(select(balances.c.amount).where(balances.c.account == chart.ADJUSTMENTS)) == 321
            assert connection.scalar(select(accounts.c.id).where(accounts.c.id == account.id)) is None

    @pytest.mark.parametrize(
        ("bound", "words"),
        [
            (TakeHold("job_1", "{}", 100, 100, None, 0, 30_000_000), "under way"),
            (Post("charge", "test", "1", (Posting("house", "earnings:{}:card", 5),)), "pending"),
            (Post("reversal", "test", "1", (Posting("receivable:{}", "clearing:test", 5),)), "owed"),
            (Post("payout", "test", "1", (Posting("wallet:{}:lightning", "payout:{}", 100),)), "paid out"),
        ],
    )
    async def test_is_kept_while_there_is_more_to_it(self, database, account, membership, has, bound, words):
        has(300, Origin.LIGHTNING)

        def named(text):
            return text.replace("{}", account.id)

        if isinstance(bound, TakeHold):
            command = evolve(bound, account=account.id)
        else:
            moves = tuple(Posting(named(each.debit), named(each.credit), each.amount) for each in bound.postings)
            command = evolve(bound, postings=moves)
        with database.transaction() as connection:
            (answer,) = carry_out(connection, [command])
            assert not isinstance(answer, Exception)
            before = connection.execute(select(balances).order_by(balances.c.account)).all()
        with pytest.raises(InvalidRequest, match=words):
            await membership(database).delete(account.id, give_up_msat=10**9)
        with database.snapshot() as connection:
            assert connection.execute(select(balances).order_by(balances.c.account)).all() == before
            assert audit.verify(connection) == []
