"""One request's way through the offers: which may serve it, which of them are looked at, and how good they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import evolve, frozen

from lightphon_core.errors import LightPhonError
from lightphon_core.routing import refusals
from lightphon_core.routing.catalogue import Catalogue, Entry
from lightphon_core.routing.expected import expected_msat
from lightphon_core.routing.filters import (
    CHOICES,
    EXCLUDE,
    FAILING,
    MAX_PRICE,
    Demand,
    capabilities_of,
    is_free,
    spares,
)
from lightphon_core.routing.index import Index
from lightphon_core.routing.observations import Observations, Observed
from lightphon_core.routing.pools import Group, preference_of
from lightphon_core.routing.scoring import Panel
from lightphon_core.routing.shortlist import LENGTH, Looking
from lightphon_core.types import Load, Needs, OfferKey, Sort, Stats

THOROUGH = 1_000
"""Offers that may be looked at for one question, so that nobody waits for somebody's curiosity."""


@frozen
class Ranked:
    """An offer that can serve the request. `parts`: the scorers' opinions by name; the score is their weighted mean.

    `stats` is what they were given.
    """

    entry: Entry
    score: float
    parts: Mapping[str, float]
    stats: Stats


@frozen
class Known:
    """What all searches of an application look at; see `Router`."""

    catalogue: Catalogue
    index: Index
    panel: Panel
    observations: Observations
    allows: Callable[[OfferKey], bool]
    load: Callable[[Entry], Load]
    holder: Callable[[str], OfferKey | None]
    rest_s: Callable[[Iterable[OfferKey]], float]


@frozen(eq=False)
class _Found:
    """An offer that may serve the request."""

    entry: Entry
    group: Group
    load: Load
    observed: Observed
    expected_msat: int
    is_full: bool


class Search:
    """For what `needs` names: one model, or any. Only among models of `allowed`, None for all.

    After `run`, `excluded` counts what each condition left out, and `error` says why nothing is left, if nothing is.
    """

    def __init__(self, known: Known, needs: Needs, allowed: frozenset[str] | None) -> None:
        self._known = known
        self._needs = needs
        self._allowed = allowed
        self._most_slots = 0
        self._cheapest: int | None = None
        self._resting: list[OfferKey] = []
        self.excluded: Counter[str] = Counter()
        self.error: LightPhonError | None = None

    def run(self, *, thorough: bool) -> list[Ranked]:
        """The offers, best first. `thorough`: look at all, within reason, so that `excluded` is complete."""
        known, needs = self._known, self._needs
        demand = self._demand()
        pool = known.index.pool(demand, preference_of(needs))
        self.excluded = pool.excluded(known.index.revision, len(known.index))
        holder = None if needs.session is None else known.holder(needs.session)
        looking = Looking(known.index, pool, self._look)
        if pool.fits(LENGTH):
            looking.everywhere()
        else:
            looking.around(holder=holder, fastest=self._fastest())
            if thorough and pool.fits(THOROUGH):
                looking.everywhere()
        self.excluded += looking.left_out
        found = looking.found(max(LENGTH, needs.filters.limit or 0))
        if not found:
            self.error = self._refusal(demand, looking.left_out)
            return []
        weights = known.panel.weights(needs)
        ranked = []
        for each in found:
            stats = self._stats(each, holder)
            score, parts = known.panel.score(weights, each.entry.offer, needs, stats)
            ranked.append((each.is_full, -score, each.load.busy + each.load.queued, each.entry.key, parts, stats, each))
        ranked.sort(key=lambda row: row[:4])
        return [Ranked(each.entry, -negative, parts, stats) for _, negative, _, _, parts, stats, each in ranked]

    def _demand(self) -> Demand:
        needs = self._needs
        index = self._known.index
        return Demand(
            needs.model,
            self._allowed,
            index.gateways(needs.via),
            needs.model is None and index.leaves_out,
            capabilities_of(needs),
            index.context_for(needs.least_context),
            is_free(needs),
            # What does not decide about models and prices is left out, so that fewer demands differ.
            evolve(needs.filters, capabilities=None, max_price_msat=None, prefer_size=None, sort=None, limit=None),
        )

    def _look(self, entry: Entry, group: Group) -> _Found | str:
        known, needs, offer = self._known, self._needs, entry.offer
        filters = needs.filters
        if filters.exclude is not None and not spares(filters.exclude, offer.node):
            return EXCLUDE
        if needs.choices > offer.slots:
            self._most_slots = max(self._most_slots, offer.slots)
            return CHOICES
        observed = known.observations.of(entry.key)
        expected = expected_msat(group.price, needs, observed.ttft_s, observed.tokens_per_s)
        if filters.max_price_msat is not None and expected > filters.max_price_msat:
            self._cheapest = expected if self._cheapest is None else min(expected, self._cheapest)
            return MAX_PRICE
        load = known.load(entry)
        if not entry.loads.is_well:
            return FAILING
        if not known.allows(entry.key):
            self._resting.append(entry.key)
            return FAILING
        is_full = load.busy + load.queued + needs.choices > offer.slots
        return _Found(entry, group, load, observed, expected, is_full)

    def _stats(self, found: _Found, holder: OfferKey | None) -> Stats:
        observed = found.observed
        return Stats(
            found.load,
            observed.ttft_s,
            observed.tokens_per_s,
            self._known.observations.failures(observed),
            observed.answers,
            found.group.price,
            found.expected_msat,
            None if holder is None else found.entry.key == holder,
        )

    def _fastest(self) -> list[Sequence[tuple[float, OfferKey]]]:
        seen = self._known.observations
        match self._needs.filters.sort:
            case Sort.THROUGHPUT:
                return [seen.by_speed]
            case Sort.LATENCY:
                return [seen.by_ttft]
            case _:
                return [seen.by_speed, seen.by_ttft]

    def _refusal(self, demand: Demand, left_out: Mapping[str, int]) -> LightPhonError:
        index, needs, allowed = self._known.index, self._needs, self._allowed
        if needs.model is not None:
            if allowed is not None and needs.model not in allowed:
                return refusals.not_allowed(needs.model, allowed)
            if not index.has_model(needs.model):
                return refusals.missing(needs.model, was_offered=self._known.catalogue.was_offered(needs.model))
        usable = refusals.usable(demand, index.groups())
        if needs.model is not None and not any(group.model.id == needs.model for group in usable):
            return refusals.circular(needs.model, demand.via)
        if not usable:
            return refusals.nobody(demand, index.groups())
        return refusals.no_group(needs, demand, usable) or refusals.no_offer(
            needs,
            left_out,
            most_slots=self._most_slots,
            cheapest_msat=self._cheapest,
            rest_s=self._known.rest_s(self._resting),
        )
