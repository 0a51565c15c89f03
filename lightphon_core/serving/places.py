"""Slots of offers, from when one is picked until the work in it has ended, and what is learned of the offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field

from lightphon_core.routing.breakers import Breakers, Trial
from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.occupancy import Occupancy
from lightphon_core.routing.router import Ranked
from lightphon_core.types import OfferKey

NEWEST = 0.1
"""How much the latest answer counts in how long one takes."""


@define(eq=False)
class Place:
    """The `slots` for one attempt. Of what is said about how it went, the first word counts; `leave` says that its work
    has ended. `fault` is an exception of its backend's that was logged."""

    candidate: Ranked
    slots: int
    _places: Places
    _trial: Trial
    fault: Exception | None = field(default=None, init=False, repr=False)
    _judged: bool = field(default=False, init=False)
    _left: bool = field(default=False, init=False)

    @property
    def entry(self) -> Entry:
        return self.candidate.entry

    def answered(self) -> None:
        """The first output is there."""
        self._places.occupancy.heard(self.entry.key, self)
        self._places.breakers.answered(self._trial)

    def succeeded(self, *, ttft_s: float, tokens: int, seconds: float) -> None:
        """The answer is complete: `tokens` came in the `seconds` after the first output."""
        if self._first_word():
            self._places.breakers.succeeded(self._trial)
            self._places.observations.answered(self.entry.key, ttft_s=ttft_s, tokens=tokens, seconds=seconds)
            self._places.took_s(ttft_s + seconds)

    def failed(self) -> None:
        """The attempt failed, for a reason that lies with the offer."""
        if self._first_word():
            self._places.breakers.failed(self._trial)
            self._places.observations.failed(self.entry.key)

    def overloaded(self, retry_after_s: float | None) -> None:
        """The offer says that it is full."""
        if self._first_word():
            self._places.breakers.given_up(self._trial)
            self._places.occupancy.overloaded(self.entry.key, retry_after_s)

    def given_up(self) -> None:
        """The attempt ended in a way that says nothing about the offer."""
        if self._first_word():
            self._places.breakers.given_up(self._trial)

    def leave(self) -> None:
        """Its work has ended, or never began."""
        if not self._left:
            self._left = True
            self._places.occupancy.heard(self.entry.key, self)
            self._places.occupancy.left(self.entry.key, self.slots)
            self._places.freed(self.entry)

    def _first_word(self) -> bool:
        first, self._judged = not self._judged, True
        return first


def _nobody_waits(_: Entry) -> None:
    """For places that nobody waits for."""


@define(eq=False)
class Places:
    """One per application. `freed` hears of every slot that an attempt has left; `service_s` is how long an answer
    takes on average, None before the first."""

    occupancy: Occupancy
    breakers: Breakers
    observations: Observations
    freed: Callable[[Entry], None] = _nobody_waits
    service_s: float | None = field(default=None, init=False)

    def take(self, candidates: Iterable[Ranked], slots: int = 1) -> Place | None:
        """So many slots of the first candidate that has them free now, and may be tried."""
        for candidate in candidates:
            if self.has_room(candidate, slots):
                key = candidate.entry.key
                self.occupancy.took(key, slots)
                place = Place(candidate, slots, self, self.breakers.began(key))
                self.occupancy.awaits(key, place, candidate.stats.ttft_s)
                return place
        return None

    def has_room(self, candidate: Ranked, slots: int = 1) -> bool:
        """Whether an attempt that takes so many slots may begin at it now."""
        entry = candidate.entry
        return self.occupancy.has_room(entry, candidate.stats.load, slots) and self.breakers.allows(entry.key)

    def with_room(self, entries: Iterable[Entry]) -> set[OfferKey]:
        """The keys of those at which an attempt may begin that takes one."""
        return set(self.free_slots(entries))

    def free_slots(self, entries: Iterable[Entry]) -> dict[OfferKey, int]:
        """How many slots are free at those at which an attempt may begin."""
        free = self.occupancy.free_slots(entries)
        return {key: slots for key, slots in free.items() if self.breakers.allows(key)}

    def closed_for_s(self, keys: Iterable[OfferKey]) -> float:
        """Seconds for which all of these offers are surely closed: full by their own word, or left alone because they
        fail. 0 if any may come free at any time."""
        return min(
            (max(self.occupancy.full_for_s(key), self.breakers.retry_after_s((key,))) for key in keys), default=0.0
        )

    def took_s(self, seconds: float) -> None:
        """An answer took so long."""
        known = self.service_s
        self.service_s = seconds if known is None else known + NEWEST * (seconds - known)
