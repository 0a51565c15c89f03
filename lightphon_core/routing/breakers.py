"""Which offers are left alone for a while, because they fail. Pure: the clock and the dice are passed in.

Three failures in a row open the breaker of an offer, as in Envoy's outlier detection: no rate over a window, because
the scorers already weigh an offer down that fails now and then, and what is dead fails each time. It stays open for a
second, then for twice as long after each probe that fails, to a minute at most; a part of that is left to chance, so
that offers which failed together are not tried together. After that it lets one request in at a time, until one of them
has had an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

from attrs import define, frozen

from lightphon_core.types import OfferKey

FAILURES = 3
"""Failures in a row that open a breaker."""
FIRST_OPEN_S = 1.0
LONGEST_OPEN_S = 60.0
CHANCE = 0.25
"""The part of the time that is left to chance."""
FORGOTTEN_AFTER = 10_000
"""Offers that are remembered to have failed; the one whose last failure is the oldest goes first. One that has left is
not forgotten at once: a node that comes back after each crash would be new each time."""


@frozen
class Trial:
    """An attempt at an offer, for telling how it went. What began before the breaker opened says nothing about what
    came after: `era` tells them apart."""

    key: OfferKey
    era: int


@define
class _Breaker:
    era: int = 0
    failures: int = 0
    openings: int = 0
    open_until: float | None = None
    probing: bool = False


class Breakers:
    """A breaker for each offer. `monotonic` is the clock, in seconds; `chance` gives numbers from 0 to 1.

    Each attempt that `began` ends in one call of `succeeded`, `failed` or `given_up`; further ones do nothing.
    """

    def __init__(self, monotonic: Callable[[], float], chance: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._chance = chance
        self._eras = count(1)
        self._breakers: dict[OfferKey, _Breaker] = {}

    def allows(self, key: OfferKey) -> bool:
        """Whether an attempt may begin now."""
        breaker = self._breakers.get(key)
        if breaker is None or breaker.open_until is None:
            return True
        return not breaker.probing and self._monotonic() >= breaker.open_until

    def began(self, key: OfferKey) -> Trial:
        """An attempt begins. Call it only where `allows` says so."""
        breaker = self._breakers.get(key)
        if breaker is None:
            return Trial(key, 0)
        if breaker.open_until is not None:
            breaker.probing = True
            breaker.era = next(self._eras)
        return Trial(key, breaker.era)

    def answered(self, trial: Trial) -> None:
        """It has its first output. That ends a probe, whose answer may take minutes: others are let in, but one more
        failure opens the breaker again, and for longer, until an answer was complete."""
        breaker = self._current(trial)
        if breaker is not None and breaker.probing:
            breaker.open_until, breaker.probing = None, False
            breaker.failures = FAILURES - 1

    def succeeded(self, trial: Trial) -> None:
        """It ended well: the offer is as good as new."""
        if self._current(trial) is not None:
            del self._breakers[trial.key]

    def failed(self, trial: Trial) -> None:
        """It failed, for a reason that lies with the offer."""
        breaker = self._current(trial)
        if breaker is None:
            if trial.key in self._breakers:
                return
            breaker = _Breaker()
        self._breakers.pop(trial.key, None)
        self._breakers[trial.key] = breaker
        breaker.failures += 1
        if breaker.probing or breaker.failures >= FAILURES:
            self._open(breaker)
        if len(self._breakers) > FORGOTTEN_AFTER:
            del self._breakers[next(iter(self._breakers))]

    def given_up(self, trial: Trial) -> None:
        """It ended in a way that says nothing about the offer: the client left, or the request was refused."""
        breaker = self._current(trial)
        if breaker is not None and breaker.probing:
            breaker.probing = False
            breaker.era = next(self._eras)

    def retry_after_s(self, keys: Iterable[OfferKey]) -> float:
        """Seconds until the first of these offers may be tried; 0 if one may be now, or is being tried."""
        now = self._monotonic()
        opens = (self._breakers[key].open_until if key in self._breakers else None for key in keys)
        return min((0.0 if until is None else max(0.0, until - now) for until in opens), default=0.0)

    def _current(self, trial: Trial) -> _Breaker | None:
        breaker = self._breakers.get(trial.key)
        return breaker if breaker is not None and trial.era >= breaker.era else None

    def _open(self, breaker: _Breaker) -> None:
        seconds = min(LONGEST_OPEN_S, FIRST_OPEN_S * 2.0 ** min(breaker.openings, 10))
        breaker.openings += 1
        breaker.failures = 0
        breaker.probing = False
        breaker.open_until = self._monotonic() + seconds * (1 - CHANCE * self._chance())
        breaker.era = next(self._eras)
