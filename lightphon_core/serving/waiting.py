"""Where requests wait for a slot while all that could serve them is busy.

The queue itself is pure (`routing/queue.py`). Here are its futures, and what wakes it: an attempt that ends, a
newcomer, and, because backends free slots without a word, a timer, which runs only while somebody waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from lightphon_core.errors import LightPhonError, NoNodesAvailable
from lightphon_core.host import Clock
from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.queue import FairQueue, retry_after_s
from lightphon_core.routing.router import RETRY_AFTER_S, Router
from lightphon_core.serving.choosing import Choice
from lightphon_core.serving.places import Place, Places
from lightphon_core.settings import LimitSettings
from lightphon_core.types import OfferKey

LOOK_EVERY_S = 0.05
"""How often the timer looks for free slots ..."""
LOOK_SHARE = 0.05
"""... but for no more than this share of the time."""
RANKINGS_AT_ONCE, RANKINGS_FOR_ONE = 32, 4
"""Requests whose offers are ranked anew in one look, and for one slot that came free, where it may be in vain: some
time went by, or the router named them only the best of many offers."""
LONGEST_RETRY_AFTER_S = 60.0

Waited = Callable[[str, float], None]
"""Hears how each wait ended ("served", "timed out", "gone") and after how many seconds; "refused" where there was no
room to wait."""


def _nobody_counts(_: str, __: float) -> None:
    """For applications that count nothing."""


class WaitingRoom:
    """One per application."""

    def __init__(
        self,
        places: Places,
        router: Router,
        limits: LimitSettings,
        clock: Clock,
        waited: Waited = _nobody_counts,
    ) -> None:
        self._places = places
        self._router = router
        self._catalogue = router.catalogue
        self._clock = clock
        self._waited = waited
        self._queue = FairQueue(length=limits.queue_length, per_account=limits.queue_per_account)
        self._timer: asyncio.TimerHandle | None = None
        self._free: dict[OfferKey, int] = {}
        self._is_fresh = False
        self._rankings = 0
        places.freed = self._freed

    def __len__(self) -> int:
        """How many wait now."""
        return len(self._queue)

    async def place(self, account: str, choice: Choice, *, wait_s: float) -> Place:
        """A slot of one of the offers of `choice`: now, or as soon as it is this account's turn.

        Raises `NoNodesAvailable` where the wait is over, or it is of no use to wait.
        """
        if len(self._queue):
            # Those who wait come first.
            self._hand_out(each.entry for each in choice.candidates)
        place = choice.take()
        if place is not None:
            return place
        if wait_s <= choice.closed_for_s():
            raise self.busy(choice)
        return await self._wait(account, choice, wait_s)

    async def _wait(self, account: str, choice: Choice, wait_s: float) -> Place:
        found: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        ticket = self._queue.join(account, lambda: self._found(choice, found))
        if ticket is None:
            self._waited("refused", 0.0)
            raise self.busy(choice)
        began, word = self._clock.monotonic(), "gone"
        choice.waits = True
        if self._timer is None:
            self._set_timer(LOOK_EVERY_S)
        try:
            await asyncio.wait({found}, timeout=wait_s)
            word = "served" if found.done() else "timed out"
        except BaseException:
            if found.done() and found.exception() is None:
                # It was called in the moment that it left.
                found.result().given_up()
                found.result().leave()
            raise
        finally:
            self._queue.leave(ticket)
            self._waited(word, self._clock.monotonic() - began)
        if not found.done():
            raise self.busy(choice)
        choice.waits = False
        return found.result()

    def _found(self, choice: Choice, found: asyncio.Future[Place]) -> bool:
        """Whether there is a slot for one who waits; then it is taken for them, before anybody else sees it."""
        now = self._clock.monotonic()
        if not choice.fits(self._free):
            # It may be in vain, and those behind are not to wait for many of that kind.
            if not self._rankings or not (choice.is_stale(now) or (self._is_fresh and choice.is_short)):
                return False
            self._rankings -= 1
        try:
            choice.rank_anew(now)
            place = choice.take()
        except Exception as error:  # noqa: BLE001 - a fault of ours or a plugin's, for this request alone
            found.set_exception(error)
            return True
        if place is None:
            return False
        key = place.entry.key
        left = self._free.pop(key, 0) - place.slots
        if left > 0 and self._places.has_room(place.candidate):
            self._free[key] = left
        found.set_result(place)
        return True

    def _hand_out(self, entries: Iterable[Entry], *, fresh: bool = False) -> None:
        """What of these offers is free goes to those whose turn it is. `fresh`: it came free just now."""
        with self._catalogue.loads_held():
            self._free = self._places.free_slots(entries)
        self._is_fresh = fresh
        self._rankings = RANKINGS_FOR_ONE if fresh else RANKINGS_AT_ONCE
        while self._free and self._queue.next() is not None:
            pass

    def _freed(self, entry: Entry) -> None:
        self._router.freed(entry.key)
        if len(self._queue):
            self._hand_out((entry,), fresh=True)

    def _look(self) -> None:
        self._timer = None
        if len(self._queue):
            began = self._clock.monotonic()
            self._hand_out(self._catalogue.entries())
            self._set_timer(max(LOOK_EVERY_S, (self._clock.monotonic() - began) / LOOK_SHARE))

    def _set_timer(self, pause_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._look)

    def busy(self, choice: Choice) -> LightPhonError:
        """What a request is told that got no slot, and when it may hope for one."""
        if choice.problem is not None:
            return choice.problem
        hoped = retry_after_s(
            waiting=len(self._queue),
            slots=choice.slots,
            service_s=self._places.service_s,
            unknown_s=RETRY_AFTER_S,
            longest_s=LONGEST_RETRY_AFTER_S,
        )
        closed = choice.closed_for_s()
        return NoNodesAvailable(
            "The nodes that could serve this request are busy. Try again shortly.", retry_after=max(hoped, closed)
        )
