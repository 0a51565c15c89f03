"""Which offers can serve a request, and in what order to try them: what other rooms use of this one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from attrs import evolve, frozen

from lightphon_core.errors import LightPhonError, TemporaryError
from lightphon_core.routing.catalogue import Catalogue, Entry
from lightphon_core.routing.expected import ORDINARY, cheapest, expected_msat
from lightphon_core.routing.filters import CONDITIONS, FREE, MODEL, NOT_IN_AUTO, is_named
from lightphon_core.routing.index import Index
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.pools import Preference
from lightphon_core.routing.refusals import RETRY_AFTER_S
from lightphon_core.routing.scoring import Panel, Weighted
from lightphon_core.routing.search import Known, Ranked, Search
from lightphon_core.types import Filters, ListedModel, Load, Needs, Node, Offer, OfferKey, Price, PriceInForce, Stats

__all__ = ["RETRY_AFTER_S", "WHOLE", "Key", "Ranked", "Ranking", "Router", "View", "Weighted"]

Key = OfferKey


@frozen
class View:
    """A part of what is on offer: without what is behind a gateway of `via`, and, with `in_auto`, what `auto` leaves
    out."""

    via: frozenset[str] = frozenset()
    in_auto: bool = False


WHOLE = View()


@frozen
class Ranking:
    """The `candidates`, best first, and why the others are none: how many offers each condition left out, by its name,
    in the order in which they were looked at.

    An offer without a free slot comes after all that have one. Where there are many offers the candidates are a short
    list, and conditions that hold for single offers (`exclude` for a node, `choices`, `max_price`, `failing`) were
    counted only for those that were looked at.
    """

    candidates: Sequence[Ranked]
    excluded: Mapping[str, int]


def _always(_: OfferKey) -> bool:
    return True


def _as_the_backend_says(entry: Entry) -> Load:
    return entry.load()


def _nobody_knows(_: Iterable[OfferKey]) -> float:
    return 0.0


def _nobody(_: str) -> OfferKey | None:
    return None


class Router:
    """One per application: what all requests are ranked by.

    `price` tells what an offer costs now; `allows` whether one may be tried (no breaker is open), `load` how busy it
    is, and `holder` which one answered a session last. `rest_s` tells in how many seconds the first of some that may
    not be tried will be; 0 where nobody knows. `not_in_auto` names backends and nodes that `auto` leaves out.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        scorers: Sequence[Weighted],
        observations: Observations,
        price: Callable[[Offer], PriceInForce],
        *,
        allows: Callable[[OfferKey], bool] = _always,
        load: Callable[[Entry], Load] = _as_the_backend_says,
        holder: Callable[[str], OfferKey | None] = _nobody,
        rest_s: Callable[[Iterable[OfferKey]], float] = _nobody_knows,
        not_in_auto: Iterable[str] = (),
    ) -> None:
        self.catalogue = catalogue
        self.observations = observations
        self._panel = Panel(scorers)
        self._outside_auto = frozenset(name.lower() for name in not_in_auto)
        self._index = Index(price, self._merit, self._in_auto)
        self._known = Known(catalogue, self._index, self._panel, observations, allows, load, holder, rest_s)
        catalogue.watch(self._index)
        catalogue.watch(_Departures(observations))

    @property
    def faults(self) -> Mapping[str, str]:
        """Scorers that answered what is no score, by name, and what they did last."""
        return self._panel.faults

    def weights(self, needs: Needs) -> Mapping[str, float]:
        """How much each scorer counts for this request, by name; they add up to 1."""
        return {scorer.name: weight for scorer, weight in self._panel.weights(needs)}

    def prices_changed(self, changed: Collection[tuple[str, str]]) -> None:
        """The prices of these models on these nodes, as (node id, model id), may have changed."""
        self._index.reprice(changed)

    def models_repriced(self, models: Collection[str]) -> None:
        """The prices of the models of these ids may have changed, wherever they are on offer."""
        offers = [entry.offer for entry in self.catalogue.entries()]
        self._index.reprice({(each.node.id, each.model.id) for each in offers if each.model.id in models})

    @property
    def revision(self) -> int:
        """A number that changes whenever offers or their prices do."""
        self.catalogue.refresh()
        return self._index.revision

    def view(self, via: frozenset[str] = frozenset(), *, in_auto: bool = False) -> View:
        """What somebody sees whose requests came through these gateways; with `in_auto` what `auto` may choose of it.
        `WHOLE` where that is all there is."""
        self.catalogue.refresh()
        return View(self._index.gateways(via), in_auto and self._index.leaves_out)

    def models(self, view: View) -> Sequence[ListedModel]:
        """The models on offer, by id."""
        if view == WHOLE:
            return self.catalogue.models()
        return self.catalogue.models_where(
            lambda key, offer: (
                offer.node.gateway not in view.via and (not view.in_auto or self._in_auto(key[0], offer.node))
            )
        )

    def price_of(self, model: str, view: View) -> Price | None:
        """The price in force of the cheapest offer of this model, as `expected.cheapest` has it."""
        return cheapest(self._index.prices(model, via=view.via, in_auto=view.in_auto))

    def freed(self, key: OfferKey) -> None:
        """A slot of this offer came free: the next requests look at it even where there are thousands of others."""
        self._index.freed.append(key)

    def rank(self, needs: Needs, *, allowed: frozenset[str] | None = None) -> Ranking:
        """The offers that can serve the request, best first; never none. Only models of `allowed`, None for all.

        Where `needs` has fall-backs, the offers of each come after those of the ones before it.

        Raises:
            PermissionDenied: The model is not allowed.
            ModelNotFound: Nobody ever had it.
            NoNodesAvailable: Its nodes are offline, or have failed lately.
            InvalidRequest: No offer can do what the request needs; `ContextLengthExceeded`: or has room for it.
            ModelNotAvailable: Nothing on offer satisfies its filters; `param` names the one that took the last away.
        """
        ranking, errors = self._rank(needs, allowed, thorough=False)
        if not ranking.candidates:
            raise next((error for error in errors if isinstance(error, TemporaryError)), errors[0])
        return ranking

    def consider(self, needs: Needs, *, allowed: frozenset[str] | None = None) -> Ranking:
        """As `rank`, but where nothing is left there are no candidates, and no error. `excluded` is complete, unless
        there are more than a thousand offers of which the conditions on models leave none out."""
        return self._rank(needs, allowed, thorough=True)[0]

    def _rank(
        self, needs: Needs, allowed: frozenset[str] | None, *, thorough: bool
    ) -> tuple[Ranking, Sequence[LightPhonError]]:
        self.catalogue.refresh()
        candidates: dict[OfferKey, Ranked] = {}
        errors: list[LightPhonError] = []
        excluded: Counter[str] = Counter()
        unnamed = len(self._index)
        with self.catalogue.loads_held():
            for model in dict.fromkeys((needs.model, *needs.fallbacks)):
                one = needs if model == needs.model else evolve(needs, model=model, focus=None)
                search = Search(self._known, one, allowed)
                ranked = [each for each in search.run(thorough=thorough) if each.entry.key not in candidates]
                candidates.update((each.entry.key, each) for each in ranked)
                if search.error is not None:
                    errors.append(search.error)
                if model is None:  # it was looked for among all offers
                    excluded, unnamed = search.excluded, 0
                elif unnamed:
                    unnamed += search.excluded.pop(MODEL, 0) - len(self._index)
                    excluded += search.excluded
                else:  # "auto:free", and then a model that is not
                    chosen = [each for each in ranked if self._is_in_auto(each)]
                    excluded[FREE] -= sum(not each.stats.price.is_free for each in chosen)
        if None in (needs.model, *needs.fallbacks):  # and besides a model that auto leaves out
            excluded[NOT_IN_AUTO] -= sum(not self._is_in_auto(each) for each in candidates.values())
        excluded[MODEL] += unnamed
        best = list(candidates.values())[: needs.filters.limit]
        return Ranking(best, {name: excluded[name] for name in CONDITIONS if excluded[name]}), errors

    def _in_auto(self, backend: str, node: Node) -> bool:
        return not is_named(self._outside_auto, backend, node)

    def _is_in_auto(self, ranked: Ranked) -> bool:
        return self._in_auto(ranked.entry.backend.name, ranked.entry.offer.node)

    def _merit(self, preference: Preference) -> Callable[[Offer, Price], float]:
        """How good an offer would be for an ordinary request if nobody used it and it had not been measured."""
        filters = Filters(sort=preference.sort, prefer_size=preference.size)
        needs = evolve(ORDINARY, focus=preference.focus, filters=filters)
        weights = self._panel.weights(needs)

        def merit(offer: Offer, price: Price) -> float:
            stats = Stats(price=price, expected_msat=expected_msat(price, needs, None, None))
            return self._panel.score(weights, offer, needs, stats)[0]

        return merit


class _Departures:
    """Tells the observations of offers that are no longer there."""

    def __init__(self, observations: Observations) -> None:
        self._observations = observations

    def added(self, entry: Entry) -> None:
        """Whoever comes starts with what was remembered."""

    def removed(self, entry: Entry) -> None:
        self._observations.left(entry.key)
