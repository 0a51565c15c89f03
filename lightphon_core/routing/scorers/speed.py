"""How fast is it?"""

from __future__ import annotations

from lightphon_core.ports import Scorer
from lightphon_core.types import Needs, Offer, Sort, Stats

GOOD_SPEED = 50.0
"""Tokens a second that score one half; faster tends to 1."""
GOOD_TTFT_S = 1.0
"""Seconds to the first output that score one half; sooner tends to 1."""


class Speed(Scorer):
    """What this gateway measured of the offer: tokens a second, and time to the first output, half and half; or only
    the one that the request sorts by. No opinion before the first answer: what a node says of itself is not looked at.
    """

    name = "speed"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        throughput = None if stats.tokens_per_s is None else stats.tokens_per_s / (stats.tokens_per_s + GOOD_SPEED)
        latency = None if stats.ttft_s is None else GOOD_TTFT_S / (stats.ttft_s + GOOD_TTFT_S)
        sort = needs.filters.sort
        if sort is Sort.THROUGHPUT or latency is None:
            return throughput
        if sort is Sort.LATENCY or throughput is None:
            return latency
        return (throughput + latency) / 2
