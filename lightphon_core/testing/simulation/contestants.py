"""Ways of choosing an offer, to be compared: three that many gateways have, and LightPhon's own."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence

from attrs import frozen

from lightphon_core.errors import LightPhonError
from lightphon_core.ports import Scorer
from lightphon_core.routing.breakers import Breakers, Trial
from lightphon_core.routing.catalogue import Catalogue, Entry
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.occupancy import Occupancy
from lightphon_core.routing.presets import DEFAULT_WEIGHTS
from lightphon_core.routing.router import Ranked, Router, Weighted
from lightphon_core.routing.scorers.affinity import Affinity
from lightphon_core.routing.scorers.availability import Availability
from lightphon_core.routing.scorers.capability import Fit
from lightphon_core.routing.scorers.price import CostOfAnswer
from lightphon_core.routing.scorers.speed import Speed
from lightphon_core.routing.sessions import Sessions
from lightphon_core.testing.simulation.timeline import Timeline
from lightphon_core.types import Needs, Offer, OfferKey, Price, PriceInForce, PriceSource, Stats

FREE = Price()


@frozen
class Equipment:
    """What there is to choose by: one set for each simulation."""

    timeline: Timeline
    catalogue: Catalogue
    occupancy: Occupancy
    observations: Observations
    rng: random.Random


class Contestant(ABC):
    """Chooses. What it does not choose is the same for all: see `journey.py`."""

    breakers: Breakers

    @abstractmethod
    def candidates(self, needs: Needs) -> Sequence[Ranked]:
        """The offers that can serve the request, best first; all of them, or at least some of the best."""

    def answered(self, needs: Needs, key: OfferKey) -> None:  # noqa: B027 - optional
        """An offer has answered the request well."""

    def freed(self, key: OfferKey) -> None:  # noqa: B027 - optional
        """A slot of this offer has come free."""


Entrant = Callable[[Equipment], Contestant]


class _NoBreakers(Breakers):
    """Leaves nobody alone."""

    def failed(self, trial: Trial) -> None:
        """Nothing follows from it."""


class Baseline(Contestant):
    """Chooses among all that can serve the request, which it knows as well as the router does, by `order`."""

    def __init__(self, equipment: Equipment) -> None:
        self.breakers = _NoBreakers(equipment.timeline.monotonic, equipment.rng.random)
        self.equipment = equipment

    def candidates(self, needs: Needs) -> Sequence[Ranked]:
        load = self.equipment.occupancy.load
        able = able_to_serve(self.equipment.catalogue, needs)
        return self.order(needs, [Ranked(entry, 0.0, {}, Stats(load(entry), price=FREE)) for entry in able])

    @abstractmethod
    def order(self, needs: Needs, able: list[Ranked]) -> Sequence[Ranked]:
        """Those that can serve the request, best first."""


def able_to_serve(catalogue: Catalogue, needs: Needs) -> list[Entry]:
    """The offers that have the model, the capabilities and the context."""
    return [
        entry
        for entry in catalogue.entries()
        if (model := entry.offer.model).id == (needs.model or model.id)
        and needs.capabilities <= model.capabilities
        and (model.context_length is None or needs.prompt_tokens < model.context_length)
    ]


class Random(Baseline):
    """Any of them."""

    def order(self, needs: Needs, able: list[Ranked]) -> Sequence[Ranked]:
        del needs
        self.equipment.rng.shuffle(able)
        return able


class RoundRobin(Baseline):
    """One after the other, for each model that is asked for."""

    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self._turns: Counter[str | None] = Counter()

    def order(self, needs: Needs, able: list[Ranked]) -> Sequence[Ranked]:
        turn = self._turns[needs.model] % max(1, len(able))
        self._turns[needs.model] += 1
        return able[turn:] + able[:turn]


class LeastBusy(Baseline):
    """That of which the smallest share of the slots is taken; any of those that are equal."""

    def order(self, needs: Needs, able: list[Ranked]) -> Sequence[Ranked]:
        del needs
        self.equipment.rng.shuffle(able)
        return sorted(able, key=lambda each: each.stats.load.busy / each.entry.offer.slots)


class CarefulLeastBusy(LeastBusy):
    """The same, with the router's breakers: what they alone are good for."""

    def __init__(self, equipment: Equipment) -> None:
        super().__init__(equipment)
        self.breakers = Breakers(equipment.timeline.monotonic, equipment.rng.random)

    def candidates(self, needs: Needs) -> Sequence[Ranked]:
        return [each for each in super().candidates(needs) if self.breakers.allows(each.entry.key)]


def default_scorers() -> list[Weighted]:
    """The built-in scorers with their default weights."""
    scorers: list[Scorer] = [Availability(), Speed(), Fit(), CostOfAnswer(), Affinity()]
    return [Weighted(each, DEFAULT_WEIGHTS[each.name]) for each in scorers]


class Routed(Contestant):
    """LightPhon's router, with its breakers, its measurements and its memory of sessions."""

    def __init__(self, equipment: Equipment, scorers: Sequence[Weighted] | None = None) -> None:
        self.breakers = Breakers(equipment.timeline.monotonic, equipment.rng.random)
        self._sessions = Sessions(b"simulated", equipment.timeline.monotonic)
        self._router = Router(
            equipment.catalogue,
            default_scorers() if scorers is None else scorers,
            equipment.observations,
            _asked,
            allows=self.breakers.allows,
            load=equipment.occupancy.load,
            holder=self._sessions.holder,
            rest_s=self.breakers.retry_after_s,
        )

    def candidates(self, needs: Needs) -> Sequence[Ranked]:
        try:
            return self._router.rank(needs).candidates
        except LightPhonError:
            return ()

    def freed(self, key: OfferKey) -> None:
        self._router.freed(key)

    def answered(self, needs: Needs, key: OfferKey) -> None:
        if needs.session is not None:
            self._sessions.answered(needs.session, key)


def _asked(offer: Offer) -> PriceInForce:
    return PriceInForce(offer.price or Price(), PriceSource.NODE)
