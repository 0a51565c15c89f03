"""In the background, again and again: submits what is held, looks up what is unknown, asks for automatic payouts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen
from sqlalchemy import Connection

from lightphon_core.errors import LightPhonError, ProviderUnavailable, StorageUnavailable
from lightphon_core.host import Tasks
from lightphon_core.money import MSAT_PER_SAT
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.automatic import (
    Automatic,
    all_automatic,
    begin_try,
    failures_of,
    note_trouble,
    rest_s,
)
from lightphon_core.payments.payouts.freezes import freezes
from lightphon_core.payments.payouts.payout import SENT, Payout, PayoutState, look_again_s, most_affordable
from lightphon_core.payments.payouts.reconciliation import Reconciliation
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.payments.payouts.submission import Submission
from lightphon_core.payments.payouts.withdrawal import left_today, withdrawable

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

POLL_S = 1.0
AUTOMATIC_EVERY_S = 60.0
AT_ONCE = 8
READ_AT_MOST = 1_000


@frozen
class _Standing:
    """What decides on an automatic payout: what can be withdrawn, what the limits leave, why the last ones failed."""

    under_way: bool
    available: int
    left: int
    failures: Sequence[str]


class PayoutRunner:
    """One per server; several over one database are welcome. Used on one event loop."""

    def __init__(
        self,
        payouts: Payouts,
        submission: Submission,
        reconciliation: Reconciliation,
        log: BoundLogger,
    ) -> None:
        self._payouts = payouts
        self._submission = submission
        self._reconciliation = reconciliation
        self._log = log
        self._tasks = Tasks(log)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._wake = asyncio.Event()
        self._busy: set[str] = set()
        self._due: dict[str, float] = {}
        self._begun = False
        payouts.asked = self._wake.set

    async def run(self) -> None:
        """Begin, and go on until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self.turn()
                except StorageUnavailable as error:
                    self._log.warning("payouts wait", error=error.message)
                except OSError as error:
                    self._log.error("payouts wait: their log cannot be read", error=error.strerror or str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._wake.wait()
        finally:
            await self._tasks.stop()

    async def run_automatic(self) -> None:
        """Ask for automatic payouts once a minute, until cancelled."""
        while True:
            await asyncio.sleep(AUTOMATIC_EVERY_S)
            try:
                await self.pay_automatically()
            except StorageUnavailable as error:
                self._log.warning("automatic payouts wait", error=error.message)

    async def turn(self) -> Sequence[asyncio.Task[None]]:
        """Begin with what there is to do now. Nothing is submitted before it is known that no payout is missing.

        Raises:
            StorageUnavailable: the database does not answer.
            OSError: the log of payouts cannot be read.
        """
        if not self._begun:
            for name in await self._reconciliation.begin():
                self._log.error(
                    "payouts are frozen: the database was restored. Reconcile them: lightphon payout reconcile",
                    provider=name,
                )
            self._begun = True
        held, sent = await self._payouts.database.read(self._look)
        now = self._payouts.clock.now()
        self._due = {payout.id: self._due.get(payout.id, now) for payout in sent}
        begun = [self._spawn(self._submission.submit, payout) for payout in held if self._is_ours(payout)]
        due = [payout for payout in sent if self._is_ours(payout) and self._due[payout.id] <= now]
        return begun + [self._spawn(self._look_up, payout) for payout in due]

    async def pay_automatically(self) -> None:
        """Ask for the payouts of all who have reached their threshold.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        if not self._payouts.settings.enabled:
            return
        for each in await self._payouts.database.read(all_automatic):
            try:
                await self._pay_automatically(each)
            except StorageUnavailable:
                raise
            except LightPhonError as error:
                await self._payouts.database.write(partial(note_trouble, account=each.account, trouble=error.message))

    def _look(self, connection: Connection) -> tuple[list[Payout], list[Payout]]:
        """What is held and may be submitted, and what is to be looked up."""
        stopped = {freeze.provider for freeze in freezes(connection)}
        held = store.to_do(connection, (PayoutState.HELD,), READ_AT_MOST) if self._payouts.settings.enabled else []
        return [payout for payout in held if payout.provider not in stopped], store.to_do(
            connection, SENT, READ_AT_MOST
        )

    def _is_ours(self, payout: Payout) -> bool:
        return payout.provider in self._payouts.providers and payout.id not in self._busy

    def _spawn(self, work: Callable[[Payout], Awaitable[None]], payout: Payout) -> asyncio.Task[None]:
        self._busy.add(payout.id)
        return self._tasks.spawn(self._do(work, payout), name=f"payout {payout.id}")

    async def _do(self, work: Callable[[Payout], Awaitable[None]], payout: Payout) -> None:
        try:
            async with self._slots:
                await work(payout)
        except (ProviderUnavailable, StorageUnavailable) as error:
            self._log.warning("a payout waits", payout=payout.id, error=error.message)
        finally:
            self._busy.discard(payout.id)

    async def _look_up(self, payout: Payout) -> None:
        now = self._payouts.clock.now()
        age_s = now - (payout.submitted_at or payout.created_at) / 1_000_000
        self._due[payout.id] = now + look_again_s(age_s)
        await self._submission.look(payout)

    async def _pay_automatically(self, automatic: Automatic) -> None:
        payouts = self._payouts
        standing = await payouts.database.read(partial(self._standing, automatic=automatic))
        if standing.under_way or automatic.provider not in payouts.providers:
            return
        if automatic.tried_at is not None and (standing.failures or automatic.trouble is not None):
            if automatic.trouble is None:
                await payouts.database.write(
                    partial(note_trouble, account=automatic.account, trouble=standing.failures[0])
                )
            if payouts.clock.now() < automatic.tried_at / 1_000_000 + rest_s(len(standing.failures)):
                return
        provider = payouts.providers[automatic.provider]
        amount = most_affordable(provider, payouts.settings, standing.available)
        if standing.available < automatic.threshold or amount < payouts.settings.least:
            return
        if standing.left >= payouts.settings.least:
            amount = min(amount, standing.left // MSAT_PER_SAT * MSAT_PER_SAT)
        if await payouts.database.write(partial(begin_try, automatic=automatic, now=payouts.now)):
            await payouts.ask(automatic.account, automatic.destination, amount, automatic=True)

    def _standing(self, connection: Connection, automatic: Automatic) -> _Standing:
        parts, _ = withdrawable(connection, automatic.account)
        return _Standing(
            store.is_under_way(connection, automatic.account),
            sum(parts),
            left_today(connection, automatic.account, self._payouts.settings, self._payouts.now),
            failures_of(connection, automatic),
        )
