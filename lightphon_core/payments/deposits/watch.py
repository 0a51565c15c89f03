"""Watches over the deposits of one provider: hears what it pushes, and asks about what may have been missed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from lightphon_core.errors import LightPhonError, ProviderUnavailable, StorageUnavailable
from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.deposit import LATE_S, LONGEST_S, Deposit, Status, look_again_s
from lightphon_core.payments.deposits.record import cursor_of
from lightphon_core.payments.deposits.service import OPENING_TIMEOUT_S, Deposits
from lightphon_core.ports import PaymentProvider
from lightphon_core.storage.schema import microseconds
from lightphon_core.types import Event, Gone, PriceSettled, Settled

ASKED_AT_ONCE = 8
LOOKUP_TIMEOUT_S = 30.0
SHORTEST_S = 0.5
"""Between two questions about one deposit, whoever wants it looked at."""
WATCHED_AT_MOST = 10_000
REREAD_S = 60.0
"""How often the database is read for deposits of servers that have died."""
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 30.0


class Watch:
    """Over the deposits of one provider, on one event loop."""

    def __init__(self, deposits: Deposits, provider: PaymentProvider) -> None:
        self._deposits = deposits
        self._provider = provider
        self._log = deposits.log.bind(provider=provider.name)
        self._due: dict[str, float] = {}
        self._known: dict[str, Deposit] = {}
        self._asked_at: dict[str, float] = {}
        self._reread_at = 0.0
        self._wake = asyncio.Event()
        self._silent = False

    @property
    def pushes(self) -> bool:
        """Whether there is something to listen to."""
        return self._provider.pushes

    def look_soon(self, deposit: Deposit) -> None:
        """Ask about this one next."""
        if deposit.ref is not None and len(self._known) < WATCHED_AT_MOST:
            self._known[deposit.id] = deposit
            asked_at = self._asked_at.get(deposit.id, 0.0)
            rest_s = max(SHORTEST_S, self._provider.asks_every_s)  # anybody may hint
            self._due[deposit.id] = max(self._deposits.clock.now(), asked_at + rest_s)
            self._wake.set()

    async def listen(self) -> None:
        """Record what the provider pushes, from where it was left, until cancelled. One that breaks off is asked again
        after a second, and then less and less often."""
        rest_s = _FIRST_REST_S
        while True:
            try:
                cursor = await self._deposits.database.read(partial(cursor_of, provider=self._provider.name))
                async with aclosing(self._provider.events(cursor)) as events:
                    async for event in events:
                        await self._deposits.tell(self._provider, event)
                        rest_s = _FIRST_REST_S
                        self._heard()
                self._unheard("it ended")
            except (ProviderUnavailable, StorageUnavailable) as error:
                self._unheard(error.message)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and must be asked again
                self._log.error("a fault of the payment plugin", exc_info=error)
            # What happened between the end and the next beginning is asked about, should the provider not repeat it.
            for deposit in list(self._known.values()):
                self.look_soon(deposit)
            await asyncio.sleep(rest_s)
            rest_s = min(rest_s * 2, _LONGEST_REST_S)

    async def keep(self) -> None:
        """Ask about what is due, again and again, until cancelled."""
        while True:
            self._wake.clear()
            next_at = await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_at - self._deposits.clock.now())):
                    await self._wake.wait()

    async def look(self) -> float:
        """Ask about every deposit that is due. Returns when the next one is, in the clock's seconds."""
        now = self._deposits.clock.now()
        if now >= self._reread_at:
            await self._reread(now)
        due = [self._known[name] for name, at in self._due.items() if at <= now]
        for start in range(0, len(due), ASKED_AT_ONCE):
            await asyncio.gather(*(self._look_at(deposit) for deposit in due[start : start + ASKED_AT_ONCE]))
        return min([self._reread_at, *self._due.values()])

    async def _reread(self, now: float) -> None:
        """Find the deposits that this server does not know of, or no longer: it or another one has died."""
        self._reread_at = now + REREAD_S
        name = self._provider.name
        look = partial(store.to_look_at, provider=name, since=microseconds(now - LATE_S), limit=WATCHED_AT_MOST)
        lost = partial(store.give_up_creating, provider=name, before=microseconds(now - 2 * OPENING_TIMEOUT_S))
        try:
            found = await self._deposits.database.read(look)
            await self._deposits.database.write(lost)
        except StorageUnavailable as error:
            self._log.warning("deposits were not looked at", error=error.message)
            return
        self._known = {deposit.id: deposit for deposit in found}
        self._due = {name: self._due.get(name, now) for name in self._known}
        self._asked_at = {name: at for name, at in self._asked_at.items() if name in self._known}

    async def _look_at(self, deposit: Deposit) -> None:
        asked_at = self._asked_at[deposit.id] = self._deposits.clock.now()
        assert deposit.ref is not None, "only those that were opened are watched"
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                state = await self._provider.lookup(deposit.ref)
            self._heard(by_lookup=True)
            if isinstance(state, Settled | PriceSettled):
                if state.ref != deposit.ref:
                    raise ProviderUnavailable("The payment provider answered about another payment.")
                recorded = await self._deposits.tell(self._provider, Event(state, None))
                if recorded.fault is None:
                    self._forget(deposit)
                    return
            # What cannot be credited is the operator's to look at, and is asked about no more than what is gone.
            over = isinstance(state, Gone | Settled | PriceSettled)
            if isinstance(state, Gone) or asked_at > deposit.expires_at / 1_000_000:
                await self._expire(deposit)
            if over:
                self._due[deposit.id] = asked_at + LONGEST_S
                return
        except LightPhonError as error:
            self._unheard(error.message, by_lookup=True)
        except TimeoutError:
            self._unheard("it does not answer in time", by_lookup=True)
        except Exception as error:  # noqa: BLE001 - as in `listen`
            self._log.error("a fault of the payment plugin", exc_info=error)
        if deposit.id in self._known:
            age_s = asked_at - deposit.created_at / 1_000_000
            watched = self._deposits.followers.is_followed(deposit.id)
            self._due[deposit.id] = asked_at + look_again_s(
                age_s, pushes=self._provider.pushes, watched=watched, every_s=self._provider.asks_every_s
            )

    async def _expire(self, deposit: Deposit) -> None:
        if deposit.status is not Status.OPEN:
            return
        expired = await self._deposits.database.write(partial(store.mark_expired, deposit_id=deposit.id))
        self._deposits.followers.changed(expired)
        if expired.may_settle:
            self._known[deposit.id] = expired
        else:
            self._forget(deposit)

    def _forget(self, deposit: Deposit) -> None:
        self._known.pop(deposit.id, None)
        self._due.pop(deposit.id, None)
        self._asked_at.pop(deposit.id, None)

    def _heard(self, *, by_lookup: bool = False) -> None:
        if self._silent and by_lookup is not self._provider.pushes:
            self._silent = False
            self._log.info("the payment provider is heard again")

    def _unheard(self, why: str, *, by_lookup: bool = False) -> None:
        # One that pushes is known to be there by that; of the others only look-ups tell.
        if not self._silent and by_lookup is not self._provider.pushes:
            self._silent = True
            self._log.warning("the payment provider is not heard", why=why)


def watches(deposits: Deposits) -> Sequence[Watch]:
    """One watch for each provider, told of each deposit that is opened or hinted at."""
    made = {name: Watch(deposits, provider) for name, provider in deposits.providers.items()}

    def soon(deposit: Deposit) -> None:
        made[deposit.provider].look_soon(deposit)

    deposits.opened = deposits.hinted = soon
    return list(made.values())
