"""How many attempts of this gateway are under way at each offer. Backends tell their load a little late, some not at
all: by this count two requests of the same moment do not both get the last slot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import structlog
from attrs import evolve

from lightphon_core.ports import Backend
from lightphon_core.routing.catalogue import Entry
from lightphon_core.types import Load, Offer, OfferKey

FULL_S = 1.0
"""How long an offer that said it is full, but not for how long, is taken to be so."""
LONGEST_FULL_S = 60.0

IDLE = Load()

log = structlog.stdlib.get_logger("lightphon")


class Occupancy:
    """One per application. `monotonic` is the clock, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._under_way: Counter[OfferKey] = Counter()
        self._full_until: dict[OfferKey, float] = {}
        self._silent: set[str] = set()

    def took(self, key: OfferKey) -> None:
        """An attempt at this offer begins."""
        self._under_way[key] += 1

    def left(self, key: OfferKey) -> None:
        """Its work has ended."""
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]

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
        """How busy an offer is: as its backend says, or as this gateway knows, whichever is more. All its slots, where
        the backend cannot tell."""
        try:
            told = entry.load()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._cannot_tell(entry.backend, error)
            return Load(busy=entry.offer.slots)
        own = self._under_way[entry.key]
        return told if told.busy >= own else evolve(told, busy=own)

    def has_room(self, offer: Offer, key: OfferKey, load: Load) -> bool:
        """Whether one more attempt may begin at an offer that had this load a moment ago."""
        return max(load.busy, self._under_way[key]) < offer.slots and not self.full_for_s(key)

    def with_room(self, entries: Iterable[Entry]) -> set[OfferKey]:
        """The keys of those at which one more attempt may begin. Asks each backend once."""
        loads: dict[str, Mapping[str, Load] | None] = {}
        found = set()
        for entry in entries:
            name = entry.backend.name
            if name not in loads:
                loads[name] = self._loads(entry.backend)
            told = loads[name]
            if told is not None and self.has_room(entry.offer, entry.key, told.get(entry.offer.id, IDLE)):
                found.add(entry.key)
        return found

    def _loads(self, backend: Backend) -> Mapping[str, Load] | None:
        try:
            return backend.load()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._cannot_tell(backend, error)
            return None

    def _cannot_tell(self, backend: Backend, error: Exception) -> None:
        if backend.name not in self._silent:
            self._silent.add(backend.name)
            log.error(
                "a backend cannot tell its load; it gets no requests meanwhile", backend=backend.name, exc_info=error
            )
