"""How requests fared lately, over all models together: how fast answers came, and how requests ended."""

from __future__ import annotations

import math
from collections import Counter, deque
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
        self._words: deque[tuple[float, str]] = deque(maxlen=MOST)

    def ended(self, outcome: Outcome) -> None:
        """A journey is over; its latency counts where an answer began."""
        self._words.append((self._monotonic(), outcome.word))
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

    def outcomes(self) -> Counter[str]:
        """How many requests of the last `WINDOW_S` seconds ended in which way, by `Outcome.word`."""
        since = self._monotonic() - WINDOW_S
        while self._words and self._words[0][0] <= since:
            self._words.popleft()
        return Counter(word for _, word in self._words)


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest rank: the least value that so many percent of them do not exceed."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
