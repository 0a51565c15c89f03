"""The ledger as the rest of the gateway uses it: commands go in, and are carried out in batches.

While one batch is being written, the commands that come in wait and become the next one. So a busy gateway pays for one
commit where it would pay for hundreds.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, overload

from attrs import frozen
from sqlalchemy import Connection

from lightphon_core.errors import StorageUnavailable
from lightphon_core.ledger.collection import collect
from lightphon_core.ledger.commands import (
    Capture,
    Command,
    Count,
    ExtendHold,
    LedgerError,
    Post,
    Posted,
    ReapExpired,
    TakeHold,
    Taken,
)
from lightphon_core.ledger.maturity import mature
from lightphon_core.ledger.periods import DAY_US
from lightphon_core.ledger.store import Clock, carry_out
from lightphon_core.ledger.usage import prune_usage
from lightphon_core.settings import LedgerSettings
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.engine import Database

LARGEST_BATCH = 512
PRUNED_AT_ONCE = 1_000


@frozen
class _Waiting:
    command: Command
    future: asyncio.Future[Any]


class Ledger:
    """One per application. Use it on one event loop. Leases run on `clock`."""

    def __init__(self, database: Database, *, clock: Clock = database_now) -> None:
        self._database = database
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._pump: asyncio.Task[None] | None = None

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Ask for a command to be carried out, without waiting: it will be, whatever becomes of the caller.

        The future has the command's answer once it is on disk, or its error; one that nobody reads is not missed.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append(_Waiting(command, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run(), name="ledger")
        return future

    @overload
    async def do(self, command: Post) -> Posted: ...
    @overload
    async def do(self, command: TakeHold) -> Taken: ...
    @overload
    async def do(self, command: ExtendHold | Capture | Count | ReapExpired) -> int: ...
    async def do(self, command: Command) -> Posted | Taken | int:
        """Carry out a command; returns its answer once it is on disk.

        A caller that is cancelled meanwhile no longer hears of it, but the command is carried out.

        Raises:
            LedgerError: the books do not allow it; see the command.
            StorageUnavailable: the database does not answer; nothing was written.
        """
        answer: Posted | Taken | int = await self.submit(command)
        return answer

    async def mature(self, settings: LedgerSettings) -> int:
        """Give node owners the earnings that have waited long enough. Returns the number of entries written.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        return await self._database.write(partial(mature, settings=settings, clock=self._clock))

    async def collect(self, settings: LedgerSettings) -> int:
        """Collect for debts what has come free since. Returns the number of entries written.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        return await self._database.write(partial(collect, settings=settings, clock=self._clock))

    async def prune_usage(self, days: int) -> int:
        """Remove the usage rows of answers that are older than so many days, a portion at a time, so that nobody waits
        long for the writer. Returns how many it removed.

        Raises:
            StorageUnavailable: the database does not answer.
        """

        def portion(connection: Connection) -> int:
            before = self._clock(connection) - days * DAY_US
            return prune_usage(connection, before=before, limit=PRUNED_AT_ONCE)

        removed = 0
        while gone := await self._database.write(portion):
            removed += gone
        return removed

    async def close(self) -> None:
        """Wait until all that was asked for has been answered."""
        if self._pump is not None:
            await self._pump

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            try:
                answers = await self._write([each.command for each in batch])
            except StorageUnavailable as error:
                answers = [StorageUnavailable(error.message, retry_after=error.retry_after) for _ in batch]
            except Exception:  # noqa: BLE001 - the database refuses one of them: only that one shall fail
                each_alone = [self._write([each.command]) for each in batch]
                answers = [
                    answer if isinstance(answer, BaseException) else answer[0]
                    for answer in await asyncio.gather(*each_alone, return_exceptions=True)
                ]
            for each, answer in zip(batch, answers, strict=True):
                if each.future.done():
                    continue
                if isinstance(answer, BaseException):
                    each.future.set_exception(answer)
                else:
                    each.future.set_result(answer)

    async def _write(self, commands: list[Command]) -> list[Any]:
        return await self._database.write(partial(carry_out, commands=commands, clock=self._clock))


__all__ = ["Ledger", "LedgerError"]
