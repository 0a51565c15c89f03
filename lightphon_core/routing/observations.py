"""What the gateway has seen of each offer lately: time to the first output, speed, failures. Hints, never truth."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from lightphon_core.types import Load, OfferKey, Stats

WEIGHT = 0.3
"""How much the newest measurement counts against all earlier ones."""
HALF_LIFE_S = 60.0
"""A failure counts half after this time."""
FORGOTTEN_AFTER = 10_000
"""Offers remembered; the one that was measured longest ago goes first."""


@frozen
class Observed:
    """Of one offer, as `Stats` has it. `failures` is as of `failed_at`."""

    ttft_s: float | None = None
    tokens_per_s: float | None = None
    failures: float = 0.0
    failed_at: float = 0.0
    answers: int = 0


_NOTHING = Observed()


class _Order:
    """Keys by a number, least first."""

    def __init__(self) -> None:
        self.sorted: list[tuple[float, OfferKey]] = []

    def move(self, key: OfferKey, old: float | None, new: float | None) -> None:
        if old == new:
            return
        if old is not None:
            del self.sorted[bisect_left(self.sorted, (old, key))]
        if new is not None:
            insort(self.sorted, (new, key))


class Observations:
    """Decayed measurements by offer key. `monotonic` is the clock, in seconds.

    `by_ttft` and `by_speed` are all offers that were measured, best first, as (seconds, key) and (tokens a second times
    -1, key): to be read and not changed.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._offers: dict[OfferKey, Observed] = {}
        self._by_ttft, self._by_speed = _Order(), _Order()
        self.by_ttft: Sequence[tuple[float, OfferKey]] = self._by_ttft.sorted
        self.by_speed: Sequence[tuple[float, OfferKey]] = self._by_speed.sorted

    def answered(self, key: OfferKey, *, ttft_s: float, tokens: int, seconds: float) -> None:
        """An answer ended well: `tokens` came in the `seconds` after the first output."""
        known = self._offers.get(key, _NOTHING)
        speed = tokens / seconds if tokens > 1 and seconds > 0 else None
        self._keep(
            key,
            evolve(
                known,
                ttft_s=_blend(known.ttft_s, ttft_s),
                tokens_per_s=_blend(known.tokens_per_s, speed),
                answers=known.answers + 1,
            ),
        )

    def failed(self, key: OfferKey) -> None:
        """An attempt failed for a reason that is not the request's."""
        known = self._offers.get(key, _NOTHING)
        self._keep(key, evolve(known, failures=self.failures(known) + 1.0, failed_at=self._monotonic()))

    def left(self, key: OfferKey) -> None:
        """The offer is no longer there. Should it come back it starts slowly; what was measured is remembered."""
        known = self._offers.get(key)
        if known is not None and known.answers:
            self._offers[key] = evolve(known, answers=0)

    def of(self, key: OfferKey) -> Observed:
        """What was seen of an offer."""
        return self._offers.get(key, _NOTHING)

    def failures(self, observed: Observed) -> float:
        """Its failures as they count now."""
        if not observed.failures:
            return 0.0
        return float(observed.failures * 0.5 ** ((self._monotonic() - observed.failed_at) / HALF_LIFE_S))

    def stats(self, key: OfferKey, load: Load) -> Stats:
        """What is known of an offer, together with its load."""
        known = self.of(key)
        return Stats(load, known.ttft_s, known.tokens_per_s, self.failures(known), known.answers)

    def _keep(self, key: OfferKey, observed: Observed | None) -> None:
        known = self._offers.pop(key, _NOTHING)
        new = observed or _NOTHING
        self._by_ttft.move(key, known.ttft_s, new.ttft_s)
        self._by_speed.move(key, _negative(known.tokens_per_s), _negative(new.tokens_per_s))
        if observed is not None:
            self._offers[key] = observed
            if len(self._offers) > FORGOTTEN_AFTER:
                self._keep(next(iter(self._offers)), None)


def _negative(number: float | None) -> float | None:
    return None if number is None else -number


def _blend(known: float | None, new: float | None) -> float | None:
    if known is None or new is None:
        return known if new is None else new
    return known + WEIGHT * (new - known)
