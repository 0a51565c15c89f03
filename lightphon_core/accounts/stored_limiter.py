"""The limiter that counts in the database, so that all who share it count together."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from lightphon_core.accounts.limits import Grant, Limiter, Room, unused
from lightphon_core.accounts.rates import Draw, Rate, drawn, given_back, standing, wait
from lightphon_core.errors import RateLimited, StorageUnavailable
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import places, rates
from lightphon_core.types import Standing

T = TypeVar("T")

LEASE_S = 30.0
"""How long a place stays taken whose gateway has died."""
BEATS_PER_LEASE = 3
FULL_US = 2_000_000
"""What is said to wait for a place, whose end nobody knows."""

_renewal = update(places).where(places.c.id == bindparam("place")).values(lease_until=bindparam("until"))


@frozen
class _Over:
    grant: Grant
    used: tuple[Draw, ...]


class StoredLimiter(Limiter):
    """Rates and leases run on `clock`, in microseconds since 1970: the database's, which everybody shares. It may go
    back, as where it ran ahead and was set right: what is owed stays as long as it was.

    An admission is one write, and its end another, in the order in which they were asked for. While the database does
    not answer, what is over waits for the next beat, and where nobody knows whether it was written, tokens may count
    twice. Where it does not answer for as long as a lease, a place may come free before its request has ended.
    """

    def __init__(
        self, database: Database, *, clock: Callable[[Connection], int] = database_now, lease_s: float = LEASE_S
    ) -> None:
        self.clock = clock
        self._database = database
        self._lease_s = lease_s
        self._held: set[str] = set()
        self._over: list[_Over] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def admit(self, draws: Sequence[Draw], rooms: Sequence[Room] = ()) -> Grant:
        admission = partial(_admit, draws=tuple(draws), rooms=tuple(rooms), clock=self.clock, lease_us=self._lease_us)
        admitting = self._spawn(self._database.write(admission))
        try:
            answer = await asyncio.shield(admitting)
        except asyncio.CancelledError:
            admitting.add_done_callback(self._unwanted)  # it may be written all the same
            raise
        if isinstance(answer, RateLimited):
            raise answer
        if rooms:
            self._held.add(answer.id)
        return answer

    def over(self, grant: Grant, *used: Draw) -> None:
        self._held.discard(grant.id)
        if grant.rooms or used:
            self._over.append(_Over(grant, used))
            self._spawn(self._write_over())

    async def forget(self, rate: Rate) -> None:
        await self._database.write(partial(_forget, key=rate.key))

    async def keep(self) -> None:
        """A few times in each lease."""
        while True:
            await self.beat()
            await asyncio.sleep(self._lease_s / BEATS_PER_LEASE)

    async def beat(self) -> None:
        """Renew the leases of what is under way, and say again what could not be written. Once."""
        await self._write_over()
        if self._held:
            try:
                await self._database.write(partial(self._renew, tuple(self._held)))
            except StorageUnavailable:
                return  # which the database has logged

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    @property
    def _lease_us(self) -> int:
        return round(self._lease_s * 1_000_000)

    def _unwanted(self, admitting: asyncio.Task[Grant | RateLimited]) -> None:
        if not admitting.cancelled() and admitting.exception() is None:
            answer = admitting.result()
            if isinstance(answer, Grant):
                self.over(answer, *unused(answer))

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name="limits")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _write_over(self) -> None:
        if not self._over:
            return
        over, self._over = self._over, []
        try:
            await self._database.write(partial(_end, over=over, clock=self.clock))
        except StorageUnavailable:
            self._over = over + self._over

    def _renew(self, held: Sequence[str], connection: Connection) -> None:
        until = self.clock(connection) + self._lease_us
        connection.execute(_renewal, [{"place": place, "until": until} for place in held])


def _admit(
    connection: Connection,
    *,
    draws: tuple[Draw, ...],
    rooms: tuple[Room, ...],
    clock: Callable[[Connection], int],
    lease_us: int,
) -> Grant | RateLimited:
    """What a refusal has found out about the past is written down too, so it is no exception here."""
    now = clock(connection)
    until = _untils(connection, draws, now)
    waits = [(wait(draw.share, until.get(draw.rate.key, now), now), str(draw.rate)) for draw in draws]
    if rooms:
        connection.execute(delete(places).where(places.c.lease_until <= now))
        # None is given for longer; the clock went back.
        ahead = update(places).where(places.c.lease_until > now + lease_us)
        connection.execute(ahead.values(lease_until=now + lease_us))
        query = select(places.c.key, func.count().label("taken")).where(places.c.key.in_([room.key for room in rooms]))
        taken = {row.key: row.taken for row in connection.execute(query.group_by(places.c.key))}
        waits += [(FULL_US, str(room)) for room in rooms if taken.get(room.key, 0) >= room.places]
    longest, limit = max(waits, default=(0, ""))
    if longest:
        return _refusal(limit, longest, _standings(draws, until, now))
    until |= {draw.rate.key: drawn(draw.share, until.get(draw.rate.key, now), now) for draw in draws}
    _store(connection, until, now)
    grant = Grant("plc_" + secrets.token_hex(12), draws, rooms, now, _standings(draws, until, now))
    if rooms:
        lease = {"id": grant.id, "lease_until": now + lease_us}
        connection.execute(insert(places), [lease | {"key": room.key} for room in rooms])
    return grant


def _end(connection: Connection, *, over: Sequence[_Over], clock: Callable[[Connection], int]) -> None:
    now = clock(connection)
    used = [(each.grant, draw) for each in over for draw in each.used]
    until = _untils(connection, [draw for _, draw in used], now)
    for grant, draw in used:
        key = draw.rate.key
        more = draw.share - sum(guess.share for guess in grant.draws if guess.rate == draw.rate)
        before = until.get(key, now)
        until[key] = drawn(more, before, now) if more > 0 else given_back(-more, before, now, since=grant.at)
    if used:
        _store(connection, until, now)
    if left := [{"place": each.grant.id} for each in over if each.grant.rooms]:
        connection.execute(delete(places).where(places.c.id == bindparam("place")), left)


def _forget(connection: Connection, *, key: str) -> None:
    connection.execute(delete(rates).where(rates.c.key == key))


def _untils(connection: Connection, draws: Iterable[Draw], now: int) -> dict[str, int]:
    keys = {draw.rate.key for draw in draws}
    if not keys:
        return {}
    rows = connection.execute(select(rates).where(rates.c.key.in_(keys))).all()
    if any(row.written_at > now for row in rows):
        # The clock went back. Everything is owed for as long as it was when it was written, from now on.
        owed = rates.c.until - rates.c.written_at
        of_the_future = update(rates).where(rates.c.written_at > now)
        connection.execute(of_the_future.values(until=now + owed, written_at=now))
        return _untils(connection, draws, now)
    return {row.key: row.until for row in rows}


def _store(connection: Connection, until: dict[str, int], now: int) -> None:
    """Write these down, and remove all that is paid back."""
    connection.execute(delete(rates).where(or_(rates.c.until <= now, rates.c.key.in_(list(until)))))
    if rows := [{"key": key, "until": time, "written_at": now} for key, time in until.items() if time > now]:
        connection.execute(insert(rates), rows)


def _standings(draws: Iterable[Draw], until: dict[str, int], now: int) -> tuple[Standing, ...]:
    return tuple(standing(draw.rate, until.get(draw.rate.key, now), now) for draw in draws)


def _refusal(limit: str, wait_us: int, standings: tuple[Standing, ...]) -> RateLimited:
    seconds = wait_us / 1_000_000
    return RateLimited(
        f"The limit of {limit} is reached. Try again in {math.ceil(seconds)} s.",
        retry_after=seconds,
        standings=standings,
    )
