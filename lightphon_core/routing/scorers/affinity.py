"""Does it hold the conversation's prefix?"""

from __future__ import annotations

from lightphon_core.ports import Scorer
from lightphon_core.types import Needs, Offer, Stats


class Affinity(Scorer):
    """1 for the offer that answered the session last, and so may still hold what it computed of the prompt, while it
    has a free slot; 0 for all others, and no opinion where there is none.

    A busy one is not waited for: another has read most prompts anew before that one ends an answer.
    """

    name = "affinity"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        if stats.holds_session is None:
            return None
        return float(stats.holds_session and stats.load.busy + stats.load.queued < offer.slots)
