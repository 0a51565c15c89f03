"""What the gateway has seen of each offer lately: time to the first output, speed, failures. Hints, never truth."""

from collections.abc import Callable

from attrs import evolve, frozen

from lightphon_core.types import Load, Stats

WEIGHT = 0.3
"""How much the newest measurement counts against all earlier ones."""
HALF_LIFE_S = 60.0
"""A failure counts half after this time."""
FORGOTTEN_AFTER = 10_000
"""Offers remembered; the one that was measured longest ago goes first."""


@frozen
class _Observed:
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    failures: float = 0.0
    failed_at: float = 0.0


class Observations:
    """Decayed measurements by offer key. `monotonic` is the clock, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._offers: dict[tuple[str, str], _Observed] = {}

    def answered(self, key: tuple[str, str], *, ttft_s: float, tokens: int, seconds: float) -> None:
        """An answer ended well: `tokens` came in the `seconds` after the first output."""
        known = self._offers.pop(key, _Observed())
        speed = tokens / seconds if tokens > 1 and seconds > 0 else None
        self._keep(
            key,
            evolve(known, ttft_s=_blend(known.ttft_s, ttft_s), tokens_per_s=_blend(known.tokens_per_s, speed)),
        )

    def failed(self, key: tuple[str, str]) -> None:
        """An attempt failed for a reason that is not the request's."""
        known = self._offers.pop(key, _Observed())
        now = self._monotonic()
        self._keep(key, evolve(known, failures=self._decayed(known, now) + 1.0, failed_at=now))

    def stats(self, key: tuple[str, str], load: Load) -> Stats:
        """What is known of an offer, together with its load."""
        known = self._offers.get(key)
        if known is None:
            return Stats(load=load)
        return Stats(load, known.ttft_s, known.tokens_per_s, self._decayed(known, self._monotonic()))

    def _keep(self, key: tuple[str, str], observed: _Observed) -> None:
        self._offers[key] = observed
        if len(self._offers) > FORGOTTEN_AFTER:
            del self._offers[next(iter(self._offers))]

    @staticmethod
    def _decayed(observed: _Observed, now: float) -> float:
        return float(observed.failures * 0.5 ** ((now - observed.failed_at) / HALF_LIFE_S))


def _blend(known: float | None, new: float | None) -> float | None:
    if known is None or new is None:
        return known if new is None else new
    return known + WEIGHT * (new - known)
