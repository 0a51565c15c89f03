"""Asking the database about a secret that somebody shows, so that those who guess keep nobody waiting.

The database is asked every time, so what was revoked opens nothing from then on. Secrets that opened something lately
are looked up as they come. All others, which anybody can make up by the thousand, take turns: one reader at a time, a
bounded number that wait, few of them from one address, and the rest is turned away before it costs a look-up.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from lightphon_core.accounts.addresses import counted_as
from lightphon_core.accounts.secrets import hash_secret
from lightphon_core.errors import RateLimited, Unauthenticated
from lightphon_core.storage.engine import Database
from lightphon_core.types import Principal

T = TypeVar("T")

WAITING_LIMIT = 64
WAITING_LIMIT_PER_ADDRESS = 16
FAMILIAR_LIMIT = 10_000


class SecretLookups:
    """For one event loop. All authenticators share one, since they share the readers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Semaphore(1)
        self._waiting: Counter[str | None] = Counter()
        self._turns: dict[str, asyncio.Task[Any]] = {}  # by hash
        # By hash, the one that was seen last at the end. Only a hint: it says how to ask, never what the answer is.
        self._familiar: OrderedDict[str, None] = OrderedDict()

    async def principal(
        self,
        secret: str,
        look_up: Callable[[Connection], T],
        judge: Callable[[T], Principal],
        *,
        client: str | None = None,
    ) -> Principal:
        """What `judge` makes of what `look_up` finds in the database. `client` is the address that asks.

        Raises:
            Unauthenticated: `judge` did.
            RateLimited: the secret has opened nothing lately, and too many such wait already.
            StorageUnavailable: the database does not answer.
        """
        digest, client = hash_secret(secret), counted_as(client)
        if (under_way := self._turns.get(digest)) is not None:
            # A program that begins with many requests at once takes one turn. What it finds was looked up before this
            # request came: enough to refuse it, and to let it ask for itself.
            self._judged(digest, judge, await asyncio.shield(under_way))
        familiar = digest in self._familiar
        found = await (self._database.read(look_up) if familiar else self._in_turn(digest, look_up, client))
        return self._judged(digest, judge, found)

    def _judged(self, digest: str, judge: Callable[[T], Principal], found: T) -> Principal:
        try:
            principal = judge(found)
        except Unauthenticated:
            self._familiar.pop(digest, None)
            raise
        self._familiar[digest] = None
        self._familiar.move_to_end(digest)
        if len(self._familiar) > FAMILIAR_LIMIT:
            self._familiar.popitem(last=False)
        return principal

    async def _in_turn(self, digest: str, look_up: Callable[[Connection], T], client: str | None) -> T:
        if self._waiting.total() >= WAITING_LIMIT or self._waiting[client] >= WAITING_LIMIT_PER_ADDRESS:
            raise RateLimited("Too many unknown keys are being tried at the moment. Try again.", retry_after=1)
        # A task of its own: a reader that has begun goes on when its client has gone, and its turn ends only then.
        task = asyncio.create_task(self._take_turn(look_up))
        self._waiting[client] += 1
        self._turns[digest] = task
        task.add_done_callback(partial(self._ended, digest, client))
        return await asyncio.shield(task)

    def _ended(self, digest: str, client: str | None, _: asyncio.Task[Any]) -> None:
        del self._turns[digest]
        self._waiting -= Counter([client])  # drops those at zero

    async def _take_turn(self, look_up: Callable[[Connection], T]) -> T:
        async with self._turn:
            return await self._database.read(look_up)
