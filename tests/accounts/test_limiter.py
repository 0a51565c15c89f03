"""The limiter that counts in the database, on each kind of it."""

import asyncio
import contextlib
import threading
from collections import Counter

import pytest
from sqlalchemy import func, select, text, update

from lightphon_core.accounts.limits import Room, unused
from lightphon_core.accounts.rates import Draw, Rate
from lightphon_core.accounts.stored_limiter import StoredLimiter
from lightphon_core.errors import RateLimited, StorageUnavailable
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import places, rates

SECOND = 1_000_000
REQUESTS = Rate("key:a", "requests", 60, "this key")
TOKENS = Rate("key:a", "tokens", 600, "this key")
ROOM = Room("key:a", "requests", 2, "this key")


class Clock:
    def __init__(self):
        self.time = 1_800_000_000 * SECOND

    def __call__(self, connection):
        return self.time

    def after(self, seconds):
        self.time += round(seconds * SECOND)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def limiter(database, clock):
    made = StoredLimiter(database, clock=clock)
    yield made
    await made.close()


def count(database, table):
    with database.snapshot() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


async def refused(limiter, *draws, rooms=()):
    with pytest.raises(RateLimited) as error:
        await limiter.admit(draws, rooms)
    return error.value


async def left(limiter, rate):
    """What remains of a rate: drawing nothing shows it."""
    return (await limiter.admit([Draw(rate, 0)])).standings[0].remaining


async def test_one_limit_that_refuses_counts_under_none(limiter, database, clock):
    tight = Rate("name:a", "attempts", 1, "this name")
    wide = Rate("address:b", "attempts", 3, "your address")
    await limiter.admit([Draw(tight), Draw(wide)], [ROOM])
    for _ in range(5):
        error = await refused(limiter, Draw(wide), Draw(tight), rooms=[ROOM])
    assert (error.retry_after, "1 attempt a minute for this name" in error.message) == (60, True)
    assert [each.remaining for each in error.standings] == [2, 0]
    assert count(database, places) == 1
    await limiter.admit([Draw(wide)])
    await limiter.admit([Draw(wide)])
    clock.after(5)
    assert (await refused(limiter, Draw(wide))).retry_after == pytest.approx(15)
    await limiter.forget(wide)
    await limiter.admit([Draw(wide)])


async def test_of_several_that_refuse_the_longest_is_told(limiter):
    await limiter.admit([Draw(TOKENS, 600)], [ROOM])
    await limiter.admit([], [ROOM])
    full = await refused(limiter, rooms=[ROOM])
    assert full.message == "The limit of 2 requests at once for this key is reached. Try again in 2 s."
    both = await refused(limiter, Draw(TOKENS, 300), rooms=[ROOM])
    assert both.message == "The limit of 600 tokens a minute for this key is reached. Try again in 30 s."


async def test_an_answer_may_go_into_debt_which_the_next_waits_for(limiter, clock):
    grant = await limiter.admit([Draw(REQUESTS), Draw(TOKENS, 100)])
    assert [each.remaining for each in grant.standings] == [59, 500]
    limiter.over(grant, Draw(TOKENS, 1800))
    assert (await refused(limiter, Draw(TOKENS, 1))).retry_after == pytest.approx(120.1)
    assert await left(limiter, REQUESTS) == 59
    clock.after(120.1)
    await limiter.admit([Draw(TOKENS, 1)])


async def test_what_came_of_nothing_is_given_back(limiter, clock):
    grant = await limiter.admit([Draw(REQUESTS), Draw(TOKENS, 300)])
    assert await left(limiter, TOKENS) == 300
    limiter.over(grant, Draw(TOKENS, 0))
    assert (await left(limiter, TOKENS), await left(limiter, REQUESTS)) == (600, 59)


async def test_a_prompt_above_the_limit_comes_when_nothing_is_owed(limiter, clock):
    await limiter.admit([Draw(TOKENS, 10)])
    assert (await refused(limiter, Draw(TOKENS, 5000))).retry_after == pytest.approx(1)
    clock.after(1)
    await limiter.admit([Draw(TOKENS, 5000)])
    assert (await refused(limiter, Draw(TOKENS, 1))).retry_after == pytest.approx(440.1)


async def test_a_limit_that_was_changed_begins_anew(limiter, clock):
    small, large = Rate("key:a", "tokens", 10, "this key"), Rate("key:a", "tokens", 10_000, "this key")
    grant = await limiter.admit([Draw(small, 1)])
    limiter.over(grant, Draw(small, 8_000))
    assert (await refused(limiter, Draw(small, 1))).retry_after == pytest.approx(8_000 * 6 - 54)
    # Its owner raises it: what would take 13 hours to pay back at the old one is nothing to the new one.
    under_way = await limiter.admit([Draw(large, 9_000)])
    assert await left(limiter, large) == 1_000
    limiter.over(under_way, Draw(large, 9_500))
    assert await left(limiter, large) == 500


async def test_a_clock_that_goes_back_keeps_nobody_waiting(limiter, database, clock):
    """It ran ahead, as that of a machine whose battery is empty or whose zone is wrong, until somebody set it right."""
    day = 86_400
    guess = await limiter.admit([Draw(REQUESTS, 60), Draw(TOKENS, 500)], [ROOM])
    await limiter.admit([], [ROOM])  # of a gateway that dies
    clock.after(-day)
    assert (await refused(limiter, Draw(REQUESTS))).retry_after == pytest.approx(1)
    clock.after(0.5)
    assert (await refused(limiter, Draw(REQUESTS))).retry_after == pytest.approx(0.5)
    assert await left(limiter, TOKENS) == 105
    clock.after(19.5)
    limiter.over(guess, Draw(TOKENS, 450))
    assert (await left(limiter, TOKENS), await left(limiter, REQUESTS)) == (350, 20)
    await limiter.admit([], [ROOM])
    await refused(limiter, rooms=[ROOM])
    limiter._held.clear()
    clock.after(31)
    await limiter.admit([], [ROOM])
    await limiter.admit([], [ROOM])


async def test_exactly_as_many_as_there_is_room_for_at_once(limiter, database):
    answers = await asyncio.gather(*(limiter.admit([], [ROOM]) for _ in range(6)), return_exceptions=True)
    assert Counter(isinstance(each, RateLimited) for each in answers) == {False: 2, True: 4}
    grants = [each for each in answers if not isinstance(each, RateLimited)]
    limiter.over(grants[0])
    await limiter.admit([], [ROOM])  # in the order in which they were asked for
    await refused(limiter, rooms=[ROOM])


async def test_replicas_count_together_and_the_places_of_a_dead_one_come_free(database, database_url, clock):
    with Database(database_url) as other_database:
        dying, living = StoredLimiter(other_database, clock=clock), StoredLimiter(database, clock=clock)
        await dying.admit([Draw(REQUESTS, 40)], [ROOM])
        kept = await living.admit([Draw(REQUESTS, 20)], [ROOM])
        assert (await refused(living, Draw(REQUESTS), rooms=[ROOM])).retry_after == pytest.approx(2)
    for _ in range(3):
        await refused(living, rooms=[ROOM])
        clock.after(10)
        await living.beat()
    await living.admit([], [ROOM])
    await refused(living, rooms=[ROOM])  # the living one's own was renewed
    living.over(kept)
    await living.admit([], [ROOM])
    await living.close()


async def test_a_caller_that_is_cancelled_has_taken_nothing(limiter, database):
    busy, go = threading.Event(), threading.Event()

    def hold(connection):
        busy.set()
        assert go.wait(20)

    holding = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(busy.wait, 20)
    caller = asyncio.create_task(limiter.admit([Draw(TOKENS, 600)], [ROOM]))
    await asyncio.sleep(0)  # it has asked
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()
    await holding
    await limiter.close()
    assert (count(database, places), count(database, rates)) == (0, 0)


async def test_what_is_over_is_not_lost_while_the_database_is_gone(limiter, database, monkeypatch):
    grant = await limiter.admit([Draw(TOKENS, 1)], [ROOM])
    failing = 2
    write = database.write

    async def gone(function):
        nonlocal failing
        if failing:
            failing -= 1
            raise StorageUnavailable("gone", retry_after=1)
        return await write(function)

    monkeypatch.setattr(database, "write", gone)
    limiter.over(grant, Draw(TOKENS, 600))
    await limiter.close()
    await limiter.beat()
    assert (failing, count(database, places)) == (0, 1)
    await limiter.beat()
    assert count(database, places) == 0
    assert await left(limiter, TOKENS) == 0


async def test_a_beat_outlives_a_database_that_does_not_answer(limiter, database, monkeypatch):
    await limiter.admit([], [ROOM])

    async def gone(function):
        raise StorageUnavailable("gone", retry_after=1)

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", gone)
        await limiter.beat()
    with database.transaction() as connection:
        connection.execute(update(places).values(lease_until=places.c.lease_until - 5))
    before = _leases(database)
    await limiter.beat()
    assert _leases(database) == [lease + 5 for lease in before]


async def test_the_databases_own_clock(database):
    limiter = StoredLimiter(database)
    grant = await limiter.admit([Draw(REQUESTS, 60)], [ROOM])
    error = await refused(limiter, Draw(REQUESTS))
    assert 0 < error.retry_after <= 1
    limiter.over(grant, *unused(grant))
    keeping = asyncio.create_task(limiter.keep())
    await limiter.close()
    keeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await keeping
    assert count(database, places) == 0


async def test_what_is_paid_back_leaves_no_row(limiter, database, clock):
    for number in range(5):
        await limiter.admit([Draw(Rate(f"key:{number}", "requests", 60, "this key"))])
    assert count(database, rates) == 5
    clock.after(1)
    await limiter.admit([Draw(REQUESTS)])
    assert count(database, rates) == 1
    with database.snapshot() as connection:
        assert connection.execute(text("SELECT key FROM rates")).scalar_one() == REQUESTS.key


def _leases(database):
    with database.snapshot() as connection:
        return list(connection.execute(select(places.c.lease_until)).scalars())
