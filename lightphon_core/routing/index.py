"""The offers, sorted so that a request need not look at each: what filters cannot tell apart is one group, and which
groups a demand may use, in order of merit, is decided once and then kept up to date.

Nothing in here depends on a single request, or on how busy anybody is.
"""

from __future__ import annotations

import sys
from bisect import bisect_right, insort
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from itertools import count

from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.filters import Demand, Kind
from lightphon_core.routing.pools import Group, Order, Placed, Pool, Preference
from lightphon_core.types import Node, Offer, OfferKey, Price, PriceInForce

POOLS = 128
"""Demands whose groups are remembered; the one that was asked for longest ago goes first."""
ORDERS = 16
"""Preferences likewise."""
FREED = 64
"""Offers remembered that had a slot come free lately."""


class Index:
    """A `Watcher` of the catalogue. `price` tells what an offer costs now, `merit` how good a group is for requests of
    a preference, all else being equal. `in_auto` is whether `auto` may choose this backend's offers of this node."""

    def __init__(
        self,
        price: Callable[[Offer], PriceInForce],
        merit: Callable[[Preference], Callable[[Offer, Price], float]],
        in_auto: Callable[[str, Node], bool],
    ) -> None:
        self._price = price
        self._merit = merit
        self._in_auto = in_auto
        self._serials = count()
        self._groups: dict[Kind, Group] = {}
        self._by_model: dict[str, list[Group]] = {}
        self._placed: dict[OfferKey, tuple[Entry, Group]] = {}
        self._contexts: Counter[int] = Counter()
        self._sorted_contexts: list[int] = []
        self._gateways: Counter[str | None] = Counter()
        self._outside_auto = 0
        self._orders: OrderedDict[Preference, Order] = OrderedDict()
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

    def prices(self, model: str, *, via: frozenset[str], in_auto: bool) -> list[Price]:
        """What offers of this model cost now: not those behind a gateway of `via`, nor, with `in_auto`, those that
        `auto` leaves out."""
        kinds = (group.kind for group in self._by_model.get(model, ()))
        return [kind.price for kind in kinds if kind.gateway not in via and (kind.in_auto or not in_auto)]

    @property
    def leaves_out(self) -> bool:
        """Whether there are offers that `auto` may not choose."""
        return self._outside_auto > 0

    def gateways(self, via: frozenset[str]) -> frozenset[str]:
        """Those of `via` that something on offer is behind."""
        return frozenset(gateway for gateway in via if self._gateways[gateway]) if via else via

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

    def _order(self, preference: Preference) -> Order:
        order = self._orders.get(preference)
        if order is None:
            order = self._orders[preference] = Order(self._merit(preference))
            order.fill(self._groups.values())
            if len(self._orders) > ORDERS:
                oldest, _ = self._orders.popitem(last=False)
                for asked in [asked for asked in self._pools if asked[0] == oldest]:
                    del self._pools[asked]
        else:
            self._orders.move_to_end(preference)
        return order

    def _add(self, entry: Entry, price: Price) -> None:
        node = entry.offer.node
        kind = Kind(entry.offer.model, price, node.gateway, self._in_auto(entry.backend.name, node))
        group = self._groups.get(kind)
        self.revision += 1
        if group is not None:
            group.add(entry)
        else:
            group = self._groups[kind] = Group(kind, next(self._serials))
            group.add(entry)
            self._by_model.setdefault(kind.model.id, []).append(group)
            self._count(kind, 1)
            for order in self._orders.values():
                order.add(group)
            for pool in self._pools.values():
                pool.add(group)
        self._placed[entry.key] = entry, group

    def _drop(self, group: Group) -> None:
        model = group.model
        del self._groups[group.kind]
        self._by_model[model.id].remove(group)
        if not self._by_model[model.id]:
            del self._by_model[model.id]
        self._count(group.kind, -1)
        for pool in self._pools.values():
            pool.remove(group)
        for order in self._orders.values():
            order.remove(group)

    def _count(self, kind: Kind, number: int) -> None:
        self._gateways[kind.gateway] += number
        self._outside_auto += 0 if kind.in_auto else number
        context = kind.model.context_length
        if context is None:
            return
        self._contexts[context] += number
        if self._contexts[context] == number > 0:
            insort(self._sorted_contexts, context)
        elif not self._contexts[context]:
            del self._contexts[context]
            self._sorted_contexts.remove(context)
