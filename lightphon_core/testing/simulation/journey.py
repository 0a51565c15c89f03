"""What becomes of one request: attempts, and waiting for a slot. The rules of `serving/attempt.py` and
`serving/waiting.py` in few words, without sockets and money, and the same for every contestant:

- offers without a free slot are passed over; where none has one, the request waits in a fair queue;
- up to `attempts` offers are tried, each until its first output or its time for it is over; nobody tries one twice;
- an offer that says it is full costs no attempt, and is left alone for a while; who meets ten such gives up;
- an answer that breaks off after its first output has failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from attrs import define, field

from lightphon_core.errors import BackendError, Overloaded
from lightphon_core.routing.catalogue import Catalogue, Entry
from lightphon_core.routing.queue import FairQueue, Ticket
from lightphon_core.serving.attempt import MOST_OVERLOADED
from lightphon_core.serving.places import Place, Places
from lightphon_core.settings import LimitSettings
from lightphon_core.testing.simulation.contestants import Contestant, able_to_serve
from lightphon_core.testing.simulation.load import Turn
from lightphon_core.testing.simulation.node import Run
from lightphon_core.testing.simulation.timeline import Event, Timeline
from lightphon_core.testing.simulation.world import SimulatedBackend
from lightphon_core.types import OfferKey

LOOK_EVERY_S = 0.25
"""How often it is looked, while somebody waits, whether an offer has come free by itself."""


@define
class Told:
    """What a client saw of one request. Times are in seconds of the timeline."""

    asked_at: float
    first_at: float = math.inf
    ended_at: float = math.inf
    well: bool = False
    attempts: int = 0
    at: OfferKey | None = None


class Gateway:
    """One for each simulation: whom requests are sent to, and where they wait."""

    def __init__(
        self,
        timeline: Timeline,
        backend: SimulatedBackend,
        catalogue: Catalogue,
        places: Places,
        contestant: Contestant,
        limits: LimitSettings,
    ) -> None:
        self.timeline = timeline
        self.backend = backend
        self.catalogue = catalogue
        self.places = places
        self.contestant = contestant
        self.limits = limits
        self.queue = FairQueue(length=limits.queue_length, per_account=limits.queue_per_account)
        self._free: set[OfferKey] = set()
        self._looking = False
        places.freed = self._freed

    def ask(self, turn: Turn, ended: Callable[[Told], None]) -> None:
        """Begin the journey of a request; `ended` is called once, later."""
        Journey(self, turn, ended, Told(self.timeline.now)).go_on()

    def join(self, account: str, ready: Callable[[], bool]) -> Ticket | None:
        """A place in the queue, where there is room."""
        ticket = self.queue.join(account, ready)
        if ticket is not None and not self._looking:
            self._looking = True
            self.timeline.after(LOOK_EVERY_S, self._look)
        return ticket

    def may_be_free(self, keys: set[OfferKey]) -> bool:
        """Whether one of these offers is among those that have just come free."""
        return not self._free.isdisjoint(keys)

    def hand_out(self, free: set[OfferKey]) -> None:
        """Give the slots of these offers to those who wait."""
        self._free = free
        while len(self.queue) and self.queue.next() is not None:
            pass

    def _freed(self, entry: Entry) -> None:
        self.contestant.freed(entry.key)
        if len(self.queue):
            self.hand_out(self.places.with_room((entry,)))

    def _look(self) -> None:
        self._looking = len(self.queue) > 0
        if self._looking:
            self.hand_out(self.places.with_room(self.catalogue.entries()))
            self.timeline.after(LOOK_EVERY_S, self._look)


@define(eq=False)
class Journey:
    """One request under way."""

    _gateway: Gateway
    _turn: Turn
    _ended: Callable[[Told], None]
    _told: Told
    _waited_s: float = 0.0
    _overloaded: int = 0
    _tried: set[OfferKey] = field(factory=set)
    _may_serve: set[OfferKey] = field(factory=set)

    def go_on(self) -> None:
        """The next attempt, at once or after a wait; or the end, where none is left."""
        gateway = self._gateway
        able = {entry.key for entry in able_to_serve(gateway.catalogue, self._turn.needs)}
        self._may_serve = able - self._tried
        if self._told.attempts == gateway.limits.attempts or self._overloaded == MOST_OVERLOADED or not self._may_serve:
            return self._end(well=False)
        if len(gateway.queue):
            # Those who wait come first.
            gateway.hand_out(gateway.places.with_room(gateway.catalogue.entries()))
        place = self._take()
        if place is None:
            return self._wait()
        return self._attempt(place)

    def _take(self) -> Place | None:
        candidates = self._gateway.contestant.candidates(self._turn.needs)
        return self._gateway.places.take(each for each in candidates if each.entry.key not in self._tried)

    def _wait(self) -> None:
        gateway, began = self._gateway, self._gateway.timeline.now
        ticket = gateway.join(self._turn.account, lambda: self._called(began, patience))
        if ticket is None:
            return self._end(well=False)

        def give_up() -> None:
            gateway.queue.leave(ticket)
            self._end(well=False)

        patience = gateway.timeline.after(gateway.limits.queue_s - self._waited_s, give_up)
        return None

    def _called(self, began: float, patience: Event) -> bool:
        """Whether there is a slot for this request; then it takes it."""
        place = self._take() if self._gateway.may_be_free(self._may_serve) else None
        if place is None:
            return False
        self._waited_s += self._gateway.timeline.now - began
        patience.cancel()
        self._attempt(place)
        return True

    def _attempt(self, place: Place) -> None:
        gateway, told, timeline = self._gateway, self._told, self._gateway.timeline
        began, first_at = timeline.now, math.inf
        told.attempts += 1

        def first() -> None:
            nonlocal first_at
            first_at = told.first_at = timeline.now
            too_slow.cancel()
            place.answered()

        def done() -> None:
            too_late.cancel()
            tokens, seconds = self._turn.work.answer_tokens, timeline.now - first_at
            place.succeeded(ttft_s=first_at - began, tokens=tokens, seconds=seconds)
            gateway.contestant.answered(self._turn.needs, place.entry.key)
            told.at = place.entry.key
            self._end(well=True)
            place.leave()

        def failed(error: BackendError) -> None:
            too_slow.cancel()
            too_late.cancel()
            if isinstance(error, Overloaded):
                told.attempts -= 1
                self._overloaded += 1
                place.overloaded(error.retry_after)
            else:
                self._tried.add(place.entry.key)
                place.failed()
            place.leave()
            if first_at < math.inf:
                self._end(well=False)
            else:
                self.go_on()

        def gave_up(*, for_good: bool) -> None:
            too_slow.cancel()
            too_late.cancel()
            run.cancel()
            self._tried.add(place.entry.key)
            place.failed()
            place.leave()
            if for_good:
                self._end(well=False)
            else:
                self.go_on()

        run = Run(first, done, failed)
        limits = gateway.limits
        too_slow = timeline.after(limits.first_output_timeout_s, lambda: gave_up(for_good=False))
        too_late = timeline.at(told.asked_at + limits.total_timeout_s, lambda: gave_up(for_good=True))
        gateway.backend.fleet[place.entry.offer.id].start(self._turn.work, run)

    def _end(self, *, well: bool) -> None:
        self._told.well = well
        self._told.ended_at = self._gateway.timeline.now
        self._ended(self._told)
