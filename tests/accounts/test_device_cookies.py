"""Browsers that an account is known to, without HTTP, on each kind of database: nobody else keeps them out."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher
from attrs import evolve
from sqlalchemy import select, update

from lightphon_core.accounts import logins
from lightphon_core.accounts import passwords as passwords_module
from lightphon_core.accounts.attempts import DEVICES
from lightphon_core.accounts.device_cookies import new_device, read_device, vouched_for
from lightphon_core.accounts.membership import Membership
from lightphon_core.accounts.passwords import Passwords
from lightphon_core.accounts.people import create_account, set_blocked
from lightphon_core.accounts.stored_limiter import StoredLimiter
from lightphon_core.errors import RateLimited, Unauthenticated
from lightphon_core.ledger.adjustment import give_up
from lightphon_core.ledger.obligations import obligations_of
from lightphon_core.log import redact
from lightphon_core.settings import AccountSettings
from lightphon_core.storage.schema import accounts, metadata, microseconds

NOW = 1_800_000_000.0
GOOD = "correct horse battery"
BETTER = "staple battery horse"


class StoppedClock:
    def now(self):
        return NOW

    def monotonic(self):
        return NOW


class Hasher:
    """argon2, cheap. Whoever tries "held" waits until `go`."""

    def __init__(self):
        self._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()

    def hash(self, password):
        assert password != "held" or self.go.wait(20)
        return self._hasher.hash(password)

    def verify(self, stored, password):
        assert password != "held" or self.go.wait(20)
        return self._hasher.verify(stored, password)


@pytest.fixture(autouse=True)
def hasher(monkeypatch):
    made = Hasher()
    monkeypatch.setattr(passwords_module, "_hasher", made)
    return made


@pytest.fixture
def passwords():
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def membership(database, passwords):
    settings = AccountSettings(registration="open")
    limiter = StoredLimiter(database, clock=lambda _: microseconds(NOW))
    return Membership(database, passwords, settings, StoppedClock(), obligations_of, give_up, limiter)


@pytest.fixture
async def alice(membership):
    return await register(membership)


def register(membership, name="alice"):
    return membership.register(name, GOOD, invite=None, client="::1", old_token=None)


def log_in(membership, cookie=None, name="alice", password=GOOD, client="10.0.0.1"):
    return membership.log_in(name, password, client=client, old_token=None, device_cookie=cookie)


async def use_up(membership, name="alice"):
    """All attempts of a name, by strangers."""
    for number in range(10):
        with pytest.raises(Unauthenticated):
            await log_in(membership, name=name, password="wrong", client=f"10.1.0.{number}")


async def refused(attempt):
    """What the sender of an attempt is told that is not looked at."""
    with pytest.raises(RateLimited) as told:
        await attempt
    return told.value.message, told.value.retry_after, told.value.standings


async def test_nobody_who_tries_its_name_keeps_a_known_browser_out(membership, alice):
    await use_up(membership)
    await refused(log_in(membership))
    entered = await log_in(membership, alice.device_cookie, " ALICE")
    assert entered.account == alice.account
    assert entered.device_cookie != alice.device_cookie
    await refused(log_in(membership))  # which forgives strangers nothing
    assert (await log_in(membership, entered.device_cookie)).account == alice.account


async def test_nor_who_shares_its_address(membership, alice):
    for number in range(60):
        with pytest.raises(Unauthenticated):
            await log_in(membership, name=f"name-{number}")
    await refused(log_in(membership))
    await log_in(membership, alice.device_cookie)


async def test_nor_who_fills_the_queue(membership, alice, passwords, hasher, monkeypatch):
    monkeypatch.setattr(passwords_module, "WAITING_LIMIT", 6)
    held = [asyncio.create_task(passwords.verify("held", None)) for _ in range(6)]
    await asyncio.sleep(0)
    assert "Too many people" in (await refused(log_in(membership)))[0]
    entered = await log_in(membership, alice.device_cookie)
    changed = await membership.change_password(entered.account.id, GOOD, BETTER)
    await log_in(membership, changed.device_cookie, password=BETTER)
    assert not any(task.done() for task in held)
    hasher.go.set()
    await asyncio.gather(*held)


async def test_their_own_queue_is_bounded_too(membership, alice, hasher, monkeypatch):
    monkeypatch.setattr(passwords_module, "WAITING_LIMIT", 2)
    tasks = [asyncio.create_task(log_in(membership, alice.device_cookie, password="held")) for _ in range(3)]
    done, held = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.exception()) for task in done] == [RateLimited]
    await log_in(membership)  # and keeps nobody else waiting
    hasher.go.set()
    assert {type(each) for each in await asyncio.gather(*held, return_exceptions=True)} == {Unauthenticated}


async def test_what_a_cookie_does_not_show_counts_as_none(membership, alice, database, monkeypatch):
    bob = await register(membership, "bob")
    old = (await log_in(membership)).device_cookie
    alice = await membership.change_password(alice.account.id, GOOD, BETTER)
    own, foreign = read_device(alice.device_cookie), read_device(bob.device_cookie)
    gone = await register(membership, "gone")
    await membership.delete(gone.account.id)
    await register(membership, "gone")
    with database.transaction() as connection:
        keys_only = create_account(connection, "keys-only", now=NOW).id
    await use_up(membership)
    await use_up(membership, "gone")
    await use_up(membership, "keys-only")
    told = await refused(log_in(membership))
    assert await refused(log_in(membership, gone.device_cookie, "gone")) == told

    with monkeypatch.context() as patch:
        patch.setattr(logins, "find_login", lambda *_: pytest.fail("it asked for a name"))
        for cookie in (
            old,
            foreign.cookie,
            f"ld_{foreign.nonce}_{foreign.mac}_{own.account_id}",
            f"ld_{foreign.nonce}_{own.mac}_{own.account_id}",
            f"ld_{own.nonce}_{own.mac}_{foreign.account_id}",
            f"ld_{own.nonce}_{'0' * 64}_{own.account_id}",
            f"ld_{own.nonce}_{own.mac}_acc_{'x' * 16}",
            new_device(own.account_id, "").cookie,
            gone.device_cookie,
            *("", "ld_", own.cookie[:-1], f"{own.cookie}\n", f" {own.cookie}", own.cookie.upper(), "\udcff", "\x00"),
        ):
            # Whether there is such a name is asked where it always was: after the limits.
            assert await refused(log_in(membership, cookie)) == told, cookie
        for no_password in ("", "None"):
            cookie = new_device(keys_only, no_password).cookie
            assert await refused(log_in(membership, cookie, "keys-only")) == told
    with database.transaction() as connection:
        set_blocked(connection, alice.account, 1)
    assert await refused(log_in(membership, own.cookie)) == told
    with database.transaction() as connection:
        set_blocked(connection, alice.account, None)
    await log_in(membership, own.cookie, password=BETTER)


async def test_of_two_older_accounts_each_is_known_by_its_own(membership, database):
    twins = {}
    for registered, older in (("first", "Twin"), ("second", "twin")):
        twins[older] = await register(membership, registered)
        with database.transaction() as connection:
            changed = update(accounts).where(accounts.c.id == twins[older].account.id)
            connection.execute(changed.values(name=older))
    await use_up(membership, "twin")
    for name, twin in twins.items():
        assert (await log_in(membership, twin.device_cookie, name)).account.id == twin.account.id
    await refused(log_in(membership, twins["twin"].device_cookie, "Twin"))
    assert (await log_in(membership, twins["twin"].device_cookie, "TWIN")).account.name == "twin"


class TestItsOwnLimit:
    """For a cookie may be stolen, and whoever has an account can make as many as they like."""

    async def wrong(self, membership, cookie, times=10):
        for _ in range(times):
            with pytest.raises(Unauthenticated):
                await log_in(membership, cookie, password="wrong")

    async def test_of_each_browser(self, membership, alice):
        other = await log_in(membership)
        await self.wrong(membership, alice.device_cookie)
        assert "for this browser" in (await refused(log_in(membership, alice.device_cookie)))[0]
        await log_in(membership, other.device_cookie)
        await use_up(membership)  # no attempt of the name was one of theirs

    async def test_the_right_password_clears_it(self, membership, alice):
        await self.wrong(membership, alice.device_cookie, 9)
        await log_in(membership, alice.device_cookie)
        await self.wrong(membership, alice.device_cookie)

    async def test_of_all_browsers_of_an_account(self, membership, alice):
        bob = await register(membership, "bob")
        for _ in range(DEVICES):
            await self.wrong(membership, (await log_in(membership)).device_cookie)
        assert "for your browsers" in (await refused(log_in(membership, alice.device_cookie)))[0]
        await log_in(membership, bob.device_cookie, "bob")
        await log_in(membership)


async def test_nothing_of_it_is_kept_or_shown(membership, alice, database):
    shown = read_device(alice.device_cookie)
    with database.snapshot() as connection:
        rows = [row for table in metadata.sorted_tables for row in connection.execute(select(table))]
        stored = connection.scalar(select(accounts.c.password_hash))
    assert vouched_for(shown, stored)
    assert not vouched_for(evolve(shown, account_id=f"acc_{'x' * 16}"), stored)
    for secret in (shown.nonce, shown.mac):
        assert secret not in repr(rows)
        assert secret not in repr(alice)
        assert secret not in redact(f"somebody brought {alice.device_cookie}.")
    assert shown.mac not in repr(shown)
