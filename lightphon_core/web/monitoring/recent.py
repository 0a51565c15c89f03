"""How fast answers came lately, over all models together: what everybody may know of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

from attrs import frozen

from lightphon_core.serving.outcome import Outcome

WINDOW_S = 600.0
MOST = 2_048
"""Answers remembered; where there are more in the window, the latest."""


@frozen
class _Answer:
    at: float
    ttft_s: float
    tokens_per_s: float | None


@frozen
class Latency:
    """Percentiles; None where nothing was measured. The time to the first output counts from when the request had been
    read, waiting and failed attempts included; the speed is that of one answer after it."""

    ttft_p50_s: float | None
    ttft_p95_s: float | None
    tokens_per_s_p50: float | None


class Recent:
    """The answers of the last minutes. `monotonic` is the clock, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._answers: deque[_Answer] = deque(maxlen=MOST)

    def ended(self, outcome: Outcome) -> None:
        """A journey is over; it counts where an answer began."""
        if outcome.ttft_s is not None:
            self._answers.append(_Answer(self._monotonic(), outcome.ttft_s, outcome.tokens_per_s))

    def latency(self) -> Latency:
        """Of the last `WINDOW_S` seconds."""
        since = self._monotonic() - WINDOW_S
        while self._answers and self._answers[0].at <= since:
            self._answers.popleft()
        first = sorted(answer.ttft_s for answer in self._answers)
        speeds = sorted(answer.tokens_per_s for answer in self._answers if answer.tokens_per_s is not None)
        return Latency(_percentile(first, 50), _percentile(first, 95), _percentile(speeds, 50))


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest rank: the least value that so many percent of them do not exceed."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
