"""Keeps the holds of answers under way alive, ends those whose gateway has died, lets earnings mature, collects debts,
and removes old rows of usage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lightphon_core.errors import StorageUnavailable
from lightphon_core.ledger.commands import ReapExpired
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.serving.tab import Tab
from lightphon_core.settings import LedgerSettings, UsageSettings

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

BEATS_PER_LEASE = 3
MATURE_EVERY_S = 60.0
PRUNE_EVERY_S = 3_600.0


class Keeper:
    """One per application. `tabs` are those that are open."""

    def __init__(self, ledger: Ledger, settings: LedgerSettings, usage: UsageSettings, log: BoundLogger) -> None:
        self._ledger = ledger
        self._settings = settings
        self._usage = usage
        self._log = log
        self.tabs: set[Tab] = set()

    async def keep(self) -> None:
        """Renew every open hold and reap the expired ones, a few times in each lease, until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(self._settings.lease_s / BEATS_PER_LEASE)

    async def mature(self) -> None:
        """Once a minute, give owners the earnings that have waited long enough, and collect for debts what has come
        free, until cancelled."""
        while True:
            await asyncio.sleep(MATURE_EVERY_S)
            await self.ripen()

    async def prune(self) -> None:
        """At once and then hourly, remove the rows of answers that are older than they are kept, until cancelled."""
        while True:
            try:
                await self._ledger.prune_usage(self._usage.detail_days)
            except StorageUnavailable as error:
                self._log.warning("old usage was not removed", error=error.message)
            await asyncio.sleep(PRUNE_EVERY_S)

    async def ripen(self) -> None:
        """Do it once. What matures is collected at once, where it is owed."""
        try:
            await self._ledger.mature(self._settings)
            await self._ledger.collect(self._settings)
        except StorageUnavailable as error:
            self._log.warning("earnings did not mature, and no debts were collected", error=error.message)

    async def beat(self) -> None:
        """Do it once. A database that does not answer is tried again at the next beat."""
        # Renewals are asked for first, so that they stand before the reaping in the same batch.
        renewals = [asyncio.ensure_future(tab.renew()) for tab in self.tabs]
        await asyncio.gather(*renewals, return_exceptions=True)
        try:
            reaped = await self._ledger.do(ReapExpired())
        except StorageUnavailable as error:
            self._log.warning("holds were not renewed", error=error.message)
            return
        if reaped:
            self._log.warning("holds of a gateway that died were settled at their last checkpoint", holds=reaped)
