"""Is there room?"""

from __future__ import annotations

from lightphon_core.ports import Scorer
from lightphon_core.types import Needs, Offer, Stats


class Availability(Scorer):
    """Free slots, as a share of those that count; what waits, and what failed lately, counts like work in progress.

    Slow start: a new offer counts with one slot, and with one more for each answer that it ended well. So it is tried
    at once, and nobody who comes all at once is sent to it before it has shown that it answers.
    """

    name = "availability"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        slots = min(offer.slots, 1 + stats.answers)
        free = slots - stats.load.busy - stats.load.queued - stats.failures
        return free / slots if free > 0 else 0.0
