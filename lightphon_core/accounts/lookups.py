"""Asking the database about a secret that somebody shows, so that those who guess keep nobody waiting.

The database is asked every time, so what was revoked opens nothing from then on. Secrets that opened something lately
are looked up as they come. All others, which anybody can make up by the thousand, take turns: one reader at a time asks
for all that have come meanwhile, with one query that tells which of them exist at all. A bounded number waits, few of
them from one address, and the rest is turned away before it costs a look-up.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import BindParameter, Connection, bindparam, select, union_all

from lightphon_core.accounts.addresses import counted_as
from lightphon_core.accounts.secrets import hash_secret
from lightphon_core.errors import RateLimited, Unauthenticated
from lightphon_core.storage.engine import NOT_ANSWERING, Database
from lightphon_core.storage.schema import credentials, sessions
from lightphon_core.types import Principal

T = TypeVar("T")

WAITING_LIMIT = 1_024
WAITING_LIMIT_PER_ADDRESS = 64
TOGETHER = 256
"""Secrets that one query asks for."""
PAUSE_S = 0.005
"""From one such query to the next, so that in a flood each asks for several. Whoever comes when there was none lately
waits for nothing."""
FAMILIAR_LIMIT = 10_000

_DIGESTS: BindParameter[Any] = bindparam("digests", expanding=True)
_KEPT = union_all(
    select(credentials.c.secret_hash).where(credentials.c.secret_hash.in_(_DIGESTS)),
    select(sessions.c.token_hash).where(sessions.c.token_hash.in_(_DIGESTS)),
)


def kept_hashes(connection: Connection, digests: Collection[str]) -> frozenset[str]:
    """Those of the hashes that some credential or session has, whatever has become of it."""
    return frozenset(connection.execute(_KEPT, {"digests": digests}).scalars())


@frozen(eq=False)
class _Turn:
    """A secret that waits to be looked up. `found` has what `look_up` returned, or None where nothing has its hash."""

    digest: str
    client: str | None
    look_up: Callable[[Connection], Any]
    found: asyncio.Future[Any]


class SecretLookups:
    """For one event loop. All authenticators share one, since they share the readers. `kept` is a stand-in in tests."""

    def __init__(
        self, database: Database, kept: Callable[[Connection, Collection[str]], Collection[str]] = kept_hashes
    ) -> None:
        self._database = database
        self._kept = kept
        self._turns: dict[str, _Turn] = {}  # by hash, in the order in which they came
        self._waiting: Counter[str | None] = Counter()  # by address
        self._taking_turns: asyncio.Task[None] | None = None
        # By hash, the one that was seen last at the end. Only a hint: it says how to ask, never what the answer is.
        self._familiar: OrderedDict[str, None] = OrderedDict()

    async def principal(
        self,
        secret: str,
        look_up: Callable[[Connection], T | None],
        judge: Callable[[T | None], Principal],
        *,
        client: str | None = None,
    ) -> Principal:
        """What `judge` makes of what `look_up` finds in the database; of None, where nothing has the secret's hash.
        `client` is the address that asks.

        Raises:
            Unauthenticated: `judge` did.
            RateLimited: the secret has opened nothing lately, and too many such wait already.
            StorageUnavailable: the database does not answer.
        """
        digest = hash_secret(secret)
        if (under_way := self._turns.get(digest)) is not None:
            # A program that begins with many requests at once takes one turn. What it finds was looked up before this
            # request came: enough to refuse it, and to let it ask for itself.
            self._judged(digest, judge, await asyncio.shield(under_way.found))
        familiar = digest in self._familiar
        found = await (self._database.read(look_up) if familiar else self._in_turn(digest, look_up, client))
        return self._judged(digest, judge, found)

    def _judged(self, digest: str, judge: Callable[[T | None], Principal], found: T | None) -> Principal:
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

    async def _in_turn(self, digest: str, look_up: Callable[[Connection], T | None], client: str | None) -> T | None:
        client = counted_as(client)
        if len(self._turns) >= WAITING_LIMIT or self._waiting[client] >= WAITING_LIMIT_PER_ADDRESS:
            raise RateLimited("Too many unknown keys are being tried at the moment. Try again.", retry_after=1)
        turn = _Turn(digest, client, look_up, asyncio.get_running_loop().create_future())
        self._turns[digest] = turn
        self._waiting[client] += 1
        if self._taking_turns is None or self._taking_turns.done():
            # A task of its own: a reader that has begun goes on when a client has gone, and its turn ends only then.
            self._taking_turns = asyncio.create_task(self._take_turns())
        found: T | None = await asyncio.shield(turn.found)
        return found

    async def _take_turns(self) -> None:
        while self._turns:
            turns = [*islice(self._turns.values(), TOGETHER)]
            try:
                outcomes = await self._database.read(partial(_look_up_all, turns, self._kept))
            except Exception as error:  # noqa: BLE001 - it is raised to all who wait for it
                outcomes = [error] * len(turns)
            for turn, outcome in zip(turns, outcomes, strict=True):
                self._end(turn, outcome)
            await asyncio.sleep(PAUSE_S)

    def _end(self, turn: _Turn, outcome: Any) -> None:
        del self._turns[turn.digest]
        self._waiting[turn.client] -= 1
        if not self._waiting[turn.client]:
            del self._waiting[turn.client]
        if isinstance(outcome, Exception):
            turn.found.set_exception(outcome)
        else:
            turn.found.set_result(outcome)


def _look_up_all(
    turns: Sequence[_Turn], kept: Callable[[Connection, Collection[str]], Collection[str]], connection: Connection
) -> list[Any]:
    """What each finds, or the exception that it ends in."""
    known = kept(connection, [turn.digest for turn in turns])
    return [_outcome(turn, connection) if turn.digest in known else None for turn in turns]


def _outcome(turn: _Turn, connection: Connection) -> Any:
    try:
        return turn.look_up(connection)
    except NOT_ANSWERING:
        raise
    except Exception as error:  # noqa: BLE001 - it is the caller's, and is raised there
        return error
