"""Thousands of bad keys: they wait for one another, and good ones do not wait for them."""

import asyncio
import threading
import time

import pytest

from lightphon_core.accounts import lookups as lookups_module
from lightphon_core.accounts.credentials import create_credential, revoke_credential
from lightphon_core.accounts.lookups import (
    TOGETHER,
    WAITING_LIMIT,
    WAITING_LIMIT_PER_ADDRESS,
    SecretLookups,
    kept_hashes,
)
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind, hash_secret, new_secret
from lightphon_core.accounts.sessions import open_session
from lightphon_core.errors import RateLimited, StorageUnavailable, Unauthenticated
from lightphon_core.storage.engine import READERS
from lightphon_core.types import Principal

ALICE = Principal("acc", "cred_1", frozenset())
PATIENCE_S = 20


class Look:
    """A look-up that stays with its reader until it is let go, and counts how often it ran and how many at once."""

    def __init__(self, found=None, error=None):
        self.found, self.error = found, error
        self.ran = self.running = self.most = 0
        self.started, self.go = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def __call__(self, connection):
        with self._lock:
            self.ran += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self.started.set()
        assert self.go.wait(PATIENCE_S)
        with self._lock:
            self.running -= 1
        if self.error is not None:
            raise self.error
        return self.found

    async def has_started(self):
        assert await asyncio.to_thread(self.started.wait, PATIENCE_S)


class Quick(Look):
    def __init__(self, found=None):
        super().__init__(found)
        self.go.set()


def judge(found):
    if found is None:
        raise Unauthenticated("unknown")
    return found


class Kept:
    """Says which hashes exist, and notes how many it was asked for each time."""

    def __init__(self, *secrets):
        self.digests = {hash_secret(secret) for secret in secrets}
        self.asked = []

    def __call__(self, connection, digests):
        self.asked.append(len(digests))
        return self.digests.intersection(digests)


@pytest.fixture
def lookups(database):
    """To it every secret exists, so whatever waits gets a look-up of its own, which the test can hold."""
    return SecretLookups(database, kept=lambda _, digests: digests)


def start(lookups, count, look):
    """So many bad keys under way, each from an address of its own."""
    return [asyncio.create_task(lookups.principal(f"bad {n}", look, judge, client=f"{n}")) for n in range(count)]


async def test_good_keys_do_not_wait_for_bad_ones(lookups):
    good, late, bad = Quick(ALICE), Quick(ALICE), Look()
    assert await lookups.principal("good", good, judge) is ALICE
    trying = start(lookups, WAITING_LIMIT, bad)
    await bad.has_started()
    assert WAITING_LIMIT > READERS
    for _ in range(10):
        with pytest.raises(RateLimited) as refused:
            await lookups.principal("one more", bad, judge)
        assert await lookups.principal("good", good, judge) is ALICE
    assert refused.value.retry_after == 1
    assert good.ran == 11
    with pytest.raises(RateLimited):  # a good one that nobody has seen yet is told to come again
        await lookups.principal("new and good", late, judge)
    assert (bad.ran, late.ran) == (1, 0)

    bad.go.set()
    answers = await asyncio.gather(*trying, return_exceptions=True)
    assert {type(each) for each in answers} == {Unauthenticated}
    assert (bad.ran, bad.most) == (WAITING_LIMIT, 1)
    assert await lookups.principal("new and good", late, judge) is ALICE


async def test_one_address_does_not_take_every_turn(lookups):
    bad, good = Look(), Quick(ALICE)

    def ask(client, number, look):
        return asyncio.create_task(lookups.principal(f"new {client} {number}", look, judge, client=client))

    trying = [ask("10.0.0.1", number, bad) for number in range(WAITING_LIMIT_PER_ADDRESS)]
    await bad.has_started()
    with pytest.raises(RateLimited):
        await ask("10.0.0.1", "one more", bad)
    other = ask("10.0.0.2", 0, good)
    bad.go.set()
    assert await other is ALICE
    answers = await asyncio.gather(*trying, return_exceptions=True)
    assert {type(each) for each in answers} == {Unauthenticated}
    assert (bad.ran, good.ran) == (WAITING_LIMIT_PER_ADDRESS, 1)
    with pytest.raises(Unauthenticated):  # its places are free again
        await ask("10.0.0.1", "one more", bad)


async def test_many_requests_at_once_with_one_new_key_take_one_turn(lookups):
    first, others, bad = Look(ALICE), Quick(ALICE), Look()

    def burst(secret, leading, following):
        looks = [leading] + [following] * WAITING_LIMIT * 2
        return [asyncio.create_task(lookups.principal(secret, look, judge)) for look in looks]

    asking, trying = burst("good", first, others), burst("bad", bad, bad)
    await first.has_started()
    assert (first.ran, others.ran, bad.ran) == (1, 0, 0)
    first.go.set()
    bad.go.set()  # looked up together, they are answered together
    assert set(await asyncio.gather(*asking)) == {ALICE}
    assert (first.ran, others.ran) == (1, WAITING_LIMIT * 2)  # each has asked the database itself
    answers = await asyncio.gather(*trying, return_exceptions=True)
    assert {type(each) for each in answers} == {Unauthenticated}
    assert bad.ran == 1


async def test_a_key_that_was_revoked_while_it_waited_is_refused(lookups):
    before, after = Look(ALICE), Quick(None)
    first = asyncio.create_task(lookups.principal("good", before, judge))
    await before.has_started()
    second = asyncio.create_task(lookups.principal("good", after, judge))
    await asyncio.sleep(0)
    before.go.set()
    assert await first is ALICE
    with pytest.raises(Unauthenticated):
        await second
    assert (before.ran, after.ran) == (1, 1)


async def test_what_is_refused_is_familiar_no_longer(lookups):
    good, gone, bad = Quick(ALICE), Quick(None), Look()
    await lookups.principal("good", good, judge)
    with pytest.raises(Unauthenticated):  # revoked: the database is asked, however familiar it is
        await lookups.principal("good", gone, judge)
    trying = start(lookups, WAITING_LIMIT, bad)
    await bad.has_started()
    with pytest.raises(RateLimited):
        await lookups.principal("good", gone, judge)
    assert gone.ran == 1
    bad.go.set()
    await asyncio.gather(*trying, return_exceptions=True)


async def test_what_is_familiar_is_bounded(lookups, monkeypatch):
    monkeypatch.setattr(lookups_module, "FAMILIAR_LIMIT", 2)
    good, bad = Quick(ALICE), Look()
    for secret in ("first", "second", "first", "third"):
        await lookups.principal(secret, good, judge)
    trying = start(lookups, WAITING_LIMIT, bad)
    await bad.has_started()
    for secret in ("first", "third"):
        await lookups.principal(secret, good, judge)
    with pytest.raises(RateLimited):  # it was seen longest ago
        await lookups.principal("second", good, judge)
    bad.go.set()
    await asyncio.gather(*trying, return_exceptions=True)


async def test_a_client_that_hangs_up_frees_no_reader(lookups):
    bad = Look(error=StorageUnavailable("away", retry_after=1))
    trying = start(lookups, WAITING_LIMIT, bad)
    await bad.has_started()
    trying[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying[0]
    with pytest.raises(RateLimited):
        await lookups.principal("one more", bad, judge)
    bad.go.set()
    answers = await asyncio.gather(*trying[1:], return_exceptions=True)
    assert {type(each) for each in answers} == {StorageUnavailable}
    assert (bad.ran, bad.most) == (WAITING_LIMIT, 1)
    with pytest.raises(Unauthenticated):  # and the way is free again
        await lookups.principal("one more", Quick(), judge)


async def test_those_that_wait_are_asked_for_together(database):
    kept = Kept("new and good")
    lookups, bad, good = SecretLookups(database, kept), Quick(ALICE), Quick(ALICE)
    trying = start(lookups, WAITING_LIMIT - 1, bad)
    new = asyncio.create_task(lookups.principal("new and good", good, judge, client="new"))
    answers = await asyncio.gather(*trying, return_exceptions=True)
    assert {type(each) for each in answers} == {Unauthenticated}
    assert await new is ALICE  # the last that came
    assert (bad.ran, good.ran) == (0, 1)  # nothing has their hashes, so nobody asked for one of them alone
    assert kept.asked == [TOGETHER] * (WAITING_LIMIT // TOGETHER)


async def test_what_was_refused_is_let_in_as_soon_as_it_exists(database):
    kept = Kept()
    lookups, good = SecretLookups(database, kept), Quick(ALICE)
    with pytest.raises(Unauthenticated):
        await lookups.principal("early", good, judge)
    kept.digests.add(hash_secret("early"))
    assert await lookups.principal("early", good, judge) is ALICE


async def test_a_look_up_that_fails_is_the_failure_of_whoever_asked(lookups):
    broken, good, gone = Quick(), Quick(ALICE), Quick()
    broken.error = ValueError("a row that nobody can read")
    looks = [broken, good, gone, good]
    answers = await asyncio.gather(
        *(lookups.principal(f"{n}", look, judge) for n, look in enumerate(looks)), return_exceptions=True
    )
    assert [type(each) for each in answers] == [ValueError, Principal, Unauthenticated, Principal]


async def test_a_database_that_is_gone_is_told_to_all_who_wait(database):
    lookups = SecretLookups(database)
    database.close()
    trying = start(lookups, TOGETHER + 1, Quick(ALICE))
    answers = await asyncio.gather(*trying, return_exceptions=True)
    assert {type(each) for each in answers} == {StorageUnavailable}


async def test_which_hashes_exist(database):
    now = time.time()
    with database.transaction() as connection:
        alice = create_account(connection, "alice", now=now)
        made = [create_credential(connection, alice, kind, now=now) for kind in Kind]
        revoke_credential(connection, Kind.API_KEY, made[0][0].id, now=now)  # its owner is told so
        token = open_session(connection, alice.id, now=now, lifetime_s=60, recent_s=60)
    theirs = {hash_secret(secret) for secret in (*(secret for _, secret in made), token)}
    nobodys = {hash_secret(new_secret(Kind.API_KEY)) for _ in range(TOGETHER - len(theirs))}
    with database.snapshot() as connection:
        assert kept_hashes(connection, [*nobodys, *theirs]) == theirs
        assert kept_hashes(connection, [*nobodys]) == frozenset()
