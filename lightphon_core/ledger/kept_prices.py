"""Prices that people set while the gateway runs: kept in the database, and read from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy import Connection

from lightphon_core.errors import StorageUnavailable
from lightphon_core.storage.engine import Database
from lightphon_core.types import Price

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

REFRESH_S = 30.0
"""How often the prices that other gateways on the same database set are read."""

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class KeptPrices(Generic[K]):
    """All of one kind in memory, for one application: an offer is priced without a query. A change made here holds once
    it is on disk; one that was made by another gateway within `REFRESH_S` seconds. `read` reads them all, by what each
    is set for."""

    def __init__(self, database: Database, read: Callable[[Connection], dict[K, Price]]) -> None:
        self._database = database
        self._read = read
        self._prices: Mapping[K, Price] = {}
        self._changes = 0
        self._listeners: list[Callable[[frozenset[K]], None]] = []

    def on_change(self, listener: Callable[[frozenset[K]], None]) -> None:
        """Have `listener` called with what each price is set for that is no longer what it was."""
        self._listeners.append(listener)

    def all(self) -> Mapping[K, Price]:
        """Every price, by what it is set for."""
        return self._prices

    async def change(self, change: Callable[[Connection], T]) -> T:
        """What `change` returns, which sets or removes prices. Raises what it does, or `StorageUnavailable`."""

        def changed(connection: Connection) -> tuple[T, dict[K, Price]]:
            return change(connection), self._read(connection)

        answer, prices = await self._database.write(changed)
        self._changed(prices)
        return answer

    async def refresh(self) -> None:
        """Read them all. Raises `StorageUnavailable`."""
        changes = self._changes
        prices = await self._database.read(self._read)
        if changes == self._changes:  # else what was read may be older than what was written meanwhile
            self._replace(prices)

    async def keep(self, log: BoundLogger) -> None:
        """Refresh now and then, until cancelled. Where the database does not answer, the last known prices hold."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except StorageUnavailable as error:
                log.warning("prices were not read", error=error.message)

    def _changed(self, prices: Mapping[K, Price]) -> None:
        self._changes += 1
        self._replace(prices)

    def _replace(self, prices: Mapping[K, Price]) -> None:
        earlier, self._prices = self._prices, prices
        changed = {each for each in earlier.keys() | prices.keys() if earlier.get(each) != prices.get(each)}
        if not changed:
            return
        for listener in self._listeners:
            listener(frozenset(changed))
