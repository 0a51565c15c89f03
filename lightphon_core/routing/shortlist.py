"""Of the offers that may serve a request, the few that are worth scoring: where there are many, not all are looked at.

Looked at are, besides the one that holds the session: those that had a slot come free lately, those that were measured
to be the fastest, some of each of the best groups, and some of all groups in turn, so that nobody is never looked at.
Those with a free slot go before those without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.index import Index
from lightphon_core.routing.pools import Group, Pool
from lightphon_core.types import OfferKey

LENGTH = 48
"""Where there are no more offers than this, all of them are scored."""
ENOUGH = 16
"""With so many that have a free slot, none of those that have none is."""


@frozen
class Source:
    """Where to look: at up to `looks` offers, until `wanted` of them had a free slot."""

    wanted: int
    looks: int


FREED, FASTEST, BEST, IN_TURN = Source(4, 8), Source(12, 32), Source(20, 64), Source(12, 32)
OF_ONE_GROUP = 4
"""Offers of one of the best groups that are looked at, where there are groups enough."""


class Seen(Protocol):
    """What looking at an offer found: one that may serve the request."""

    @property
    def is_full(self) -> bool:
        """Whether it has no free slot."""


T = TypeVar("T", bound=Seen)


class Looking(Generic[T]):
    """One request's look around. `look` says of an offer what was found, or which condition leaves it out."""

    def __init__(self, index: Index, pool: Pool, look: Callable[[Entry, Group], T | str]) -> None:
        self._index = index
        self._pool = pool
        self._look = look
        self._looked_at: set[OfferKey] = set()
        self._free: list[T] = []
        self._full: list[T] = []
        self.left_out: Counter[str] = Counter()

    def everywhere(self) -> None:
        """At every offer of the pool that was not looked at yet."""
        for entry, group in self._pool.everyone():
            self._at(entry, group)

    def around(self, *, holder: OfferKey | None, fastest: Sequence[Iterable[tuple[float, OfferKey]]]) -> None:
        """At some; at all where that finds none. `fastest` are the measured offers, best first, in one order or two."""
        pool = self._pool
        self._some(self._known([holder] if holder is not None else ()), Source(1, 1))
        self._some(self._known(reversed(self._index.freed)), FREED)
        for order in fastest:
            share = Source(FASTEST.wanted // len(fastest), FASTEST.looks // len(fastest))
            self._some(self._known(key for _, key in islice(order, share.looks)), share)
        self._some(pool.best(max(OF_ONE_GROUP, BEST.looks // len(pool.groups)) if pool.groups else 0), BEST)
        self._some(pool.in_turn(), IN_TURN)
        if not self._free and not self._full:
            self.everywhere()

    def found(self, length: int) -> list[T]:
        """Those that may serve the request: all of them, or, where they are more than `length`, those with a free slot
        before those without; but the holder of the session in any case."""
        if len(self._free) + len(self._full) <= length:
            return self._free + self._full
        full = self._full[: max(1, ENOUGH - len(self._free))]  # the first that was looked at is the holder
        return self._free[: length - len(full)] + full

    def _some(self, entries: Iterable[tuple[Entry, Group]], source: Source) -> None:
        wanted = len(self._free) + source.wanted
        for entry, group in islice(entries, source.looks):
            self._at(entry, group)
            if len(self._free) >= wanted:
                return

    def _known(self, keys: Iterable[OfferKey]) -> Iterator[tuple[Entry, Group]]:
        """Those of them that are in the pool."""
        for key in keys:
            placed = self._index.find(key)
            if placed is not None and self._pool.has(placed[1]):
                yield placed

    def _at(self, entry: Entry, group: Group) -> None:
        if entry.key in self._looked_at:
            return
        self._looked_at.add(entry.key)
        seen = self._look(entry, group)
        if isinstance(seen, str):
            self.left_out[seen] += 1
        elif seen.is_full:
            self._full.append(seen)
        else:
            self._free.append(seen)
