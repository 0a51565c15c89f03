"""The models that offers come down to: each id once, whoever has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, evolve, field

from lightphon_core.types import ListedModel, Model, Offer, OfferKey

REMEMBERED_IDS = 10_000
"""How many model ids are remembered after their last offer left, to tell "offline" from "never heard of"."""


@define
class _Live:
    created: int
    offers: dict[OfferKey, Offer] = field(factory=dict)
    listed: ListedModel | None = None


class Listing:
    """The models on offer, kept up to date offer by offer. `now` is the clock, in seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._live: dict[str, _Live] = {}
        self._gone: dict[str, int] = {}
        self._sorted: tuple[ListedModel, ...] | None = None

    def add(self, key: OfferKey, offer: Offer) -> None:
        """An offer that is there now."""
        model = offer.model.id
        live = self._live.get(model)
        if live is None:
            live = self._live[model] = _Live(self._gone.pop(model, int(self._now())))
        live.offers[key] = offer
        live.listed = self._sorted = None

    def remove(self, key: OfferKey, offer: Offer) -> None:
        """One that was added, and is there no longer."""
        model = offer.model.id
        live = self._live[model]
        del live.offers[key]
        live.listed = self._sorted = None
        if not live.offers:
            del self._live[model]
            self._gone[model] = live.created
            if len(self._gone) > REMEMBERED_IDS:
                del self._gone[next(iter(self._gone))]

    def models(self) -> tuple[ListedModel, ...]:
        """Those on offer, by id."""
        if self._sorted is None:
            self._sorted = tuple(_listed(self._live[name]) for name in sorted(self._live))
        return self._sorted

    def models_where(self, shows: Callable[[OfferKey, Offer], bool]) -> tuple[ListedModel, ...]:
        """The same, as if there were only the offers that `shows` says yes to."""
        return tuple(listed for each in self.models() if (listed := self._where(each, shows)) is not None)

    def _where(self, listed: ListedModel, shows: Callable[[OfferKey, Offer], bool]) -> ListedModel | None:
        live = self._live[listed.model.id]
        shown = {key: offer for key, offer in live.offers.items() if shows(key, offer)}
        if len(shown) == len(live.offers):
            return listed
        return _listed(_Live(live.created, shown)) if shown else None

    def was_offered(self, model: str) -> bool:
        """Whether a model of this id is on offer, or was."""
        return model in self._live or model in self._gone


def merge(models: Iterable[Model]) -> Model:
    """One model of several with the same id: the largest context and all capabilities that some node has.

    Facts that nodes disagree on are those of the first that states them.
    """
    merged: Model | None = None
    for model in models:
        merged = model if merged is None or merged is model else _both(merged, model)
    assert merged is not None, "there is one at least"
    return merged


def _listed(live: _Live) -> ListedModel:
    if live.listed is None:
        nodes = {offer.node.id for offer in live.offers.values()}
        live.listed = ListedModel(merge(offer.model for offer in live.offers.values()), len(nodes), live.created)
    return live.listed


def _both(first: Model, second: Model) -> Model:
    if first == second:
        return first
    contexts = [length for length in (first.context_length, second.context_length) if length is not None]
    return evolve(
        first,
        capabilities=first.capabilities | second.capabilities,
        context_length=max(contexts, default=None),
        maker=first.maker or second.maker,
        params_b=first.params_b or second.params_b,
        quantization=first.quantization or second.quantization,
        owned_by=first.owned_by or second.owned_by,
    )
