"""The offers, sorted so that a request need not look at each: what filters cannot tell apart is one group, and which
groups a demand may use, in order of merit, is decided once and then kept up to date.

Nothing in here depends on a single request, or on how busy anybody is.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count

from attrs import define, field, frozen

from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.filters import MODEL, Demand, Test, tests
from lightphon_core.types import Focus, Model, Needs, Offer, OfferKey, Price, PriceInForce, Size, Sort

POOLS = 128
"""Demands whose groups are remembered; the one that was asked for longest ago goes first."""
ORDERS = 16
"""Preferences likewise."""
FREED = 64
"""Offers remembered that had a slot come free lately."""


@frozen
class Preference:
    """What a request would like, and by what groups are put in order therefore."""

    focus: Focus | None
    sort: Sort | None
    size: Size | None


@define(eq=False)
class Group:
    """The offers of equal models at equal prices. `serial` is its own, and larger than those of earlier groups."""

    model: Model
    price: Price
    serial: int
    members: list[Entry] = field(factory=list)
    _places: dict[OfferKey, int] = field(factory=dict)
    _turn: int = 0

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


class _Order:
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

    def __init__(self, demand: Demand, order: _Order, groups: Sequence[Placed]) -> None:
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
        model, price = group.model, group.price
        for condition, holds in self._tests:
            if not holds(model, price):
                self._out[group] = condition
                return False
        return True


class Index:
    """A `Watcher` of the catalogue. `price` tells what an offer costs now, `merit` how good a group is for requests of
    a preference, all else being equal."""

    def __init__(
        self, price: Callable[[Offer], PriceInForce], merit: Callable[[Preference], Callable[[Offer, Price], float]]
    ) -> None:
        self._price = price
        self._merit = merit
        self._serials = count()
        self._groups: dict[tuple[Model, Price], Group] = {}
        self._by_model: dict[str, list[Group]] = {}
        self._placed: dict[OfferKey, tuple[Entry, Group]] = {}
        self._contexts: Counter[int] = Counter()
        self._sorted_contexts: list[int] = []
        self._orders: OrderedDict[Preference, _Order] = OrderedDict()
        self._pools: OrderedDict[tuple[Preference, Demand], Pool] = OrderedDict()
        self.freed: deque[OfferKey] = deque(maxlen=FREED)
        self.revision = 0

    def __len__(self) -> int:
        """How many offers there are."""
        return len(self._placed)

    def added(self, entry: Entry) -> None:
        self._add(entry, self._price(entry.offer).price)

    def removed(self, entry: Entry) -> None:
        _, group = self._placed.pop(entry.key)
        group.remove(entry)
        self.revision += 1
        if not group.members:
            self._drop(group)

    def reprice(self, changed: Collection[tuple[str, str]]) -> None:
        """The prices of these models on these nodes, as (node id, model id), may have changed."""
        models = {model for _, model in changed}
        moved = [
            entry
            for model in models
            for group in self._by_model.get(model, ())
            for entry in group.members
            if (entry.offer.node.id, model) in changed and self._price(entry.offer).price != group.price
        ]
        for entry in moved:
            self.removed(entry)
            self.added(entry)

    def find(self, key: OfferKey) -> tuple[Entry, Group] | None:
        """An offer and the group that it is in."""
        return self._placed.get(key)

    def has_model(self, model: str) -> bool:
        return model in self._by_model

    def context_for(self, prompt_tokens: int) -> int:
        """The least context on offer that holds such a prompt and a token; 0 where each does, and more than anybody
        has where none does. So requests of about the same length make the same demand."""
        place = bisect_right(self._sorted_contexts, prompt_tokens)
        if place == 0:
            return 0
        return self._sorted_contexts[place] if place < len(self._sorted_contexts) else sys.maxsize

    def pool(self, demand: Demand, preference: Preference) -> Pool:
        """The groups that this demand may use, in the order of this preference."""
        asked = preference, demand
        pool = self._pools.get(asked)
        if pool is None:
            order = self._order(preference)
            groups: Sequence[Placed] = order.sorted
            if demand.model is not None:
                groups = sorted(order.of(group) for group in self._by_model.get(demand.model, ()))
            pool = self._pools[asked] = Pool(demand, order, groups)
            if len(self._pools) > POOLS:
                self._pools.popitem(last=False)
        else:
            self._pools.move_to_end(asked)
        return pool

    def groups(self) -> Collection[Group]:
        """All of them."""
        return self._groups.values()

    def _order(self, preference: Preference) -> _Order:
        order = self._orders.get(preference)
        if order is None:
            order = self._orders[preference] = _Order(self._merit(preference))
            order.fill(self._groups.values())
            if len(self._orders) > ORDERS:
                oldest, _ = self._orders.popitem(last=False)
                for asked in [asked for asked in self._pools if asked[0] == oldest]:
                    del self._pools[asked]
        else:
            self._orders.move_to_end(preference)
        return order

    def _add(self, entry: Entry, price: Price) -> None:
        model = entry.offer.model
        group = self._groups.get((model, price))
        self.revision += 1
        if group is not None:
            group.add(entry)
        else:
            group = self._groups[model, price] = Group(model, price, next(self._serials))
            group.add(entry)
            self._by_model.setdefault(model.id, []).append(group)
            self._count_context(model, 1)
            for order in self._orders.values():
                order.add(group)
            for pool in self._pools.values():
                pool.add(group)
        self._placed[entry.key] = entry, group

    def _drop(self, group: Group) -> None:
        model = group.model
        del self._groups[model, group.price]
        self._by_model[model.id].remove(group)
        if not self._by_model[model.id]:
            del self._by_model[model.id]
        self._count_context(model, -1)
        for pool in self._pools.values():
            pool.remove(group)
        for order in self._orders.values():
            order.remove(group)

    def _count_context(self, model: Model, number: int) -> None:
        context = model.context_length
        if context is None:
            return
        self._contexts[context] += number
        if self._contexts[context] == number > 0:
            insort(self._sorted_contexts, context)
        elif not self._contexts[context]:
            del self._contexts[context]
            self._sorted_contexts.remove(context)


def preference_of(needs: Needs) -> Preference:
    """What a request would like. Where it bounds the price the cheap ones are looked at first, so that they are
    found."""
    filters = needs.filters
    sort = Sort.PRICE if filters.max_price_msat is not None else filters.sort
    return Preference(needs.focus, sort, filters.prefer_size)
