"""How many attempts of this gateway are under way at each offer. Backends tell their load a little late, some not at
all: by this count two requests of the same moment do not both get the last slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from attrs import evolve

from lightphon_core.routing.catalogue import Entry
from lightphon_core.types import Load, OfferKey

FULL_S = 1.0
"""How long an offer that said it is full, but not for how long, is taken to be so."""
LONGEST_FULL_S = 60.0
OVERDUE_S = 5.0
"""So long any attempt may wait for its first output before it is overdue."""
OVERDUE_TIMES = 4.0
"""And so many times as long as the offer usually takes."""


class Occupancy:
    """One per application. `monotonic` is the clock, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._under_way: Counter[OfferKey] = Counter()
        self._full_until: dict[OfferKey, float] = {}
        self._due: dict[OfferKey, dict[object, float]] = {}

    def took(self, key: OfferKey, slots: int = 1) -> None:
        """An attempt at this offer begins, which takes so many of its slots."""
        self._under_way[key] += slots

    def left(self, key: OfferKey, slots: int = 1) -> None:
        """Its work has ended."""
        self._under_way[key] -= slots
        if not self._under_way[key]:
            del self._under_way[key]

    def awaits(self, key: OfferKey, attempt: object, ttft_s: float | None) -> None:
        """This attempt at the offer has begun, and has no output yet. `ttft_s` is how long that usually takes there."""
        due = self._monotonic() + max(OVERDUE_S, OVERDUE_TIMES * (ttft_s or 0.0))
        self._due.setdefault(key, {})[attempt] = due

    def heard(self, key: OfferKey, attempt: object) -> None:
        """Its first output is there, or it has ended without one."""
        waiting = self._due.get(key, {})
        if waiting.pop(attempt, None) is not None and not waiting:
            del self._due[key]

    def is_overdue(self, key: OfferKey) -> bool:
        """Whether an attempt at the offer waits for its first output longer than it should."""
        waiting = self._due.get(key)
        return waiting is not None and min(waiting.values()) <= self._monotonic()

    def overloaded(self, key: OfferKey, retry_after_s: float | None) -> None:
        """The offer itself said that it is full, and perhaps for how long."""
        now = self._monotonic()
        self._full_until = {each: until for each, until in self._full_until.items() if until > now}
        self._full_until[key] = now + min(retry_after_s or FULL_S, LONGEST_FULL_S)

    def full_for_s(self, key: OfferKey) -> float:
        """Seconds for which the offer is full by its own word."""
        until = self._full_until.get(key)
        return 0.0 if until is None else max(0.0, until - self._monotonic())

    def load(self, entry: Entry) -> Load:
        """How busy an offer is: as its backend says, or as this gateway knows, whichever is more.

        Where an attempt is overdue, as many wait as there are slots: the offer is the last choice until it speaks.
        """
        told, own = entry.load(), self._under_way[entry.key]
        load = told if told.busy >= own else evolve(told, busy=own)
        return evolve(load, queued=load.queued + entry.offer.slots) if self.is_overdue(entry.key) else load

    def has_room(self, entry: Entry, load: Load, slots: int = 1) -> bool:
        """Whether an attempt that takes so many slots may begin at an offer that had this load a moment ago."""
        busy = max(load.busy, self._under_way[entry.key])
        return busy + slots <= entry.offer.slots and not self.full_for_s(entry.key)

    def with_room(self, entries: Iterable[Entry]) -> set[OfferKey]:
        """The keys of those that have a free slot. None of those whose backends fail to say how busy they are."""
        return set(self.free_slots(entries))

    def free_slots(self, entries: Iterable[Entry]) -> dict[OfferKey, int]:
        """How many slots are free at each of those that `with_room` names."""
        loads = [(entry, entry.load()) for entry in entries]
        return {
            entry.key: entry.offer.slots - max(load.busy, self._under_way[entry.key])
            for entry, load in loads
            if entry.loads.is_well and self.has_room(entry, load)
        }
