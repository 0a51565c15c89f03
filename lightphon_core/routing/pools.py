"""Groups of offers that filters cannot tell apart, in order of merit, and which of them a demand may use."""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

from attrs import define, field, frozen

from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.filters import MODEL, Demand, Kind, Test, tests
from lightphon_core.types import Focus, Model, Needs, Offer, OfferKey, Price, Size, Sort


@frozen
class Preference:
    """What a request would like, and by what groups are put in order therefore."""

    focus: Focus | None
    sort: Sort | None
    size: Size | None


@define(eq=False)
class Group:
    """The offers of one kind. `serial` is its own, and larger than those of earlier groups."""

    kind: Kind
    serial: int
    members: list[Entry] = field(factory=list)
    _places: dict[OfferKey, int] = field(factory=dict)
    _turn: int = 0

    @property
    def model(self) -> Model:
        return self.kind.model

    @property
    def price(self) -> Price:
        return self.kind.price

    def add(self, entry: Entry) -> None:
        self._places[entry.key] = len(self.members)
        self.members.append(entry)

    def remove(self, entry: Entry) -> None:
        place, last = self._places.pop(entry.key), self.members.pop()
        if last is not entry:
            self.members[place] = last
            self._places[last.key] = place

    def take(self, number: int) -> Iterator[Entry]:
        """So many members, each no more than once; others the next time, until all have had their turn."""
        members = self.members
        for _ in range(min(number, len(members))):
            self._turn = (self._turn + 1) % len(members)
            yield members[self._turn]


Placed = tuple[float, int, Group]
"""A group and its place in an order: its merit times -1, and its serial."""


class Order:
    """All groups by merit."""

    def __init__(self, merit: Callable[[Offer, Price], float]) -> None:
        self._merit = merit
        self._placed: dict[Group, Placed] = {}
        self.sorted: list[Placed] = []

    def fill(self, groups: Collection[Group]) -> None:
        self._placed = {group: self._place(group) for group in groups}
        self.sorted = sorted(self._placed.values())

    def of(self, group: Group) -> Placed:
        return self._placed[group]

    def add(self, group: Group) -> None:
        placed = self._placed[group] = self._place(group)
        insort(self.sorted, placed)

    def remove(self, group: Group) -> None:
        placed = self._placed.pop(group)
        del self.sorted[bisect_left(self.sorted, placed)]

    def _place(self, group: Group) -> Placed:
        return -self._merit(group.members[0].offer, group.price), group.serial, group


class Pool:
    """The groups that one demand may use, best first, and why it may not use the others."""

    def __init__(self, demand: Demand, order: Order, groups: Sequence[Placed]) -> None:
        self._model = demand.model
        self._tests: list[tuple[str, Test]] = tests(demand)
        self._order = order
        self._out: dict[Group, str] = {}
        self._counted: tuple[int, Counter[str]] = (-1, Counter())
        self._turn = 0
        self.groups: list[Placed] = [placed for placed in groups if self._takes(placed[2])]

    def add(self, group: Group) -> None:
        if self._takes(group):
            insort(self.groups, self._order.of(group))

    def remove(self, group: Group) -> None:
        """Before the order forgets it."""
        if self._out.pop(group, None) is None and (self._model is None or self._model == group.model.id):
            del self.groups[bisect_left(self.groups, self._order.of(group))]

    def has(self, group: Group) -> bool:
        return group not in self._out and (self._model is None or self._model == group.model.id)

    def fits(self, most: int) -> bool:
        """Whether there are no more than so many offers in it."""
        offers = 0
        for _, _, group in self.groups:
            offers += len(group.members)
            if offers > most:
                return False
        return True

    def everyone(self) -> Iterator[tuple[Entry, Group]]:
        """All offers in it, those of the best group first."""
        return self.best(sys.maxsize)

    def best(self, of_each: int) -> Iterator[tuple[Entry, Group]]:
        """So many of the best group, then of the next; others of them the next time."""
        for _, _, group in self.groups:
            for entry in group.take(of_each):
                yield entry, group

    def in_turn(self) -> Iterator[tuple[Entry, Group]]:
        """One of each group, without end, and the next time going on from there."""
        while self.groups:
            self._turn = (self._turn + 1) % len(self.groups)
            group = self.groups[self._turn][2]
            for entry in group.take(1):
                yield entry, group

    def excluded(self, revision: int, offers: int) -> Counter[str]:
        """How many of so many offers each condition leaves out. `revision` changes whenever the answer may."""
        if self._counted[0] != revision:
            counts: Counter[str] = Counter()
            for group, condition in self._out.items():
                counts[condition] += len(group.members)
            if self._model is not None:
                counts[MODEL] = offers - counts.total() - sum(len(group.members) for _, _, group in self.groups)
            self._counted = revision, counts
        return self._counted[1].copy()

    def _takes(self, group: Group) -> bool:
        if self._model is not None and self._model != group.model.id:
            return False
        for condition, holds in self._tests:
            if not holds(group.kind):
                self._out[group] = condition
                return False
        return True


def preference_of(needs: Needs) -> Preference:
    """What a request would like. Where it bounds the price the cheap ones are looked at first, so that they are
    found."""
    filters = needs.filters
    sort = Sort.PRICE if filters.max_price_msat is not None else filters.sort
    return Preference(needs.focus, sort, filters.prefer_size)
