"""The scorers' opinions, weighed: one number for an offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from attrs import frozen

from lightphon_core.errors import SettingsError
from lightphon_core.ports import Scorer
from lightphon_core.routing.presets import DEFAULT_WEIGHTS, factors
from lightphon_core.types import Needs, Offer, Stats

NO_OPINION = 0.5
"""What a scorer counts as that has nothing to say: neither for nor against."""

log = structlog.stdlib.get_logger("lightphon")


@frozen
class Weighted:
    """A scorer and how much its opinion counts."""

    scorer: Scorer
    weight: float


def weighted(scorers: Sequence[Scorer], weights: Mapping[str, float]) -> list[Weighted]:
    """Each scorer with its weight from `[routing.weights]`, else that of the built-in ones, else 1."""
    unknown = sorted(set(weights) - {scorer.name for scorer in scorers})
    if unknown:
        names = ", ".join(sorted(scorer.name for scorer in scorers))
        raise SettingsError(f"[routing.weights] names {unknown[0]!r}, which is no scorer. The scorers are {names}.")
    return [Weighted(scorer, weight_of(scorer.name, weights)) for scorer in scorers]


def weight_of(scorer: str, weights: Mapping[str, float]) -> float:
    """How much the scorer of this name counts: as `weights` has it, else as the built-in ones do, else 1."""
    return weights.get(scorer, DEFAULT_WEIGHTS.get(scorer, 1.0))


class Panel:
    """All scorers of one application.

    `faults` are those that answered what is no score, by name, with what they did last: "raised KeyError" or "answered
    nan". Such an answer counts as none.
    """

    def __init__(self, scorers: Sequence[Weighted]) -> None:
        self._scorers = scorers
        self.faults: dict[str, str] = {}

    def weights(self, needs: Needs) -> list[tuple[Scorer, float]]:
        """The scorers that count for this request, and how much; their weights add up to 1 if there are any."""
        shift: Mapping[str, float] = factors(needs)
        weighed = [(each.scorer, each.weight * shift.get(each.scorer.name, 1.0)) for each in self._scorers]
        total = sum(weight for _, weight in weighed)
        return [(scorer, weight / total) for scorer, weight in weighed if weight]

    def score(
        self, weights: Sequence[tuple[Scorer, float]], offer: Offer, needs: Needs, stats: Stats
    ) -> tuple[float, dict[str, float]]:
        """The weighted mean, from 0 to 1, and the opinions that it is made of, by name."""
        parts: dict[str, float] = {}
        total = 0.0
        for scorer, weight in weights:
            try:
                opinion = scorer.score(offer, needs, stats)
                if opinion is None:
                    total += weight * NO_OPINION
                elif 0 <= opinion <= 1:  # not so for NaN
                    parts[scorer.name] = opinion
                    total += weight * opinion
                else:
                    total += weight * NO_OPINION
                    self._fault(scorer, f"answered {opinion!r}")
            except Exception as error:  # noqa: BLE001 - a scorer may be anybody's; the request goes on without it
                total += weight * NO_OPINION
                self._fault(scorer, f"raised {type(error).__name__}")
        return min(total, 1.0), parts

    def _fault(self, scorer: Scorer, what: str) -> None:
        if scorer.name not in self.faults:
            log.error("a scorer answered what is no score; left out there", scorer=scorer.name, what=what)
        self.faults[scorer.name] = what
