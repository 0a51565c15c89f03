"""The ledger as the rest of the gateway uses it: commands go in, and are carried out in batches.

While one batch is being written, the commands that come in wait and become the next one. So a busy gateway pays for one
commit where it would pay for hundreds.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, overload

from attrs import frozen

from lightphon_core.ledger.commands import (
    Capture,
    Command,
    ExtendHold,
    LedgerError,
    Post,
    Posted,
    ReapExpired,
    TakeHold,
    Taken,
)
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.engine import Database

LARGEST_BATCH = 512


@frozen
class _Waiting:
    command: Command
    future: asyncio.Future[Any]


class Ledger:
    """One per application. Use it on one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Waiting] = []
        self._pump: asyncio.Task[None] | None = None

    @overload
    async def do(self, command: Post) -> Posted: ...
    @overload
    async def do(self, command: TakeHold) -> Taken: ...
    @overload
    async def do(self, command: ExtendHold | Capture | ReapExpired) -> int: ...
    async def do(self, command: Command) -> Posted | Taken | int:
        """Carry out a command; returns its answer once it is on disk.

        A caller that is cancelled meanwhile no longer hears of it, but the command is carried out.

        Raises:
            LedgerError: the books do not allow it; see the command.
            StorageUnavailable: the database does not answer; nothing was written.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(command, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run(), name="ledger")
        answer: Posted | Taken | int = await future
        return answer

    async def close(self) -> None:
        """Wait until all that was asked for has been answered."""
        if self._pump is not None:
            await self._pump

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            try:
                answers = await self._database.write(partial(carry_out, commands=[each.command for each in batch]))
            except Exception as error:  # noqa: BLE001 - whatever it is, the callers wait
                answers = [error] * len(batch)
            for each, answer in zip(batch, answers, strict=True):
                if each.future.done():
                    continue
                if isinstance(answer, Exception):
                    each.future.set_exception(answer)
                else:
                    each.future.set_result(answer)


__all__ = ["Ledger", "LedgerError"]
