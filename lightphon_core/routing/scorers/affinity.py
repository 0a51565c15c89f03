"""Does it hold the conversation's prefix?"""

from __future__ import annotations

from lightphon_core.ports import Scorer
from lightphon_core.types import Needs, Offer, Stats


class Affinity(Scorer):
    """1 for the offer that answered the session last, 0 for all others; no opinion where there is none."""

    name = "affinity"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        return None if stats.holds_session is None else float(stats.holds_session)
