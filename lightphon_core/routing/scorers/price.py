"""What will the answer cost?"""

from __future__ import annotations

import math

from lightphon_core.ports import Scorer
from lightphon_core.types import Needs, Offer, Stats

DECADES = 9
"""Tenfold steps, from a thousandth of a sat, until a price scores 0: a million sats for one answer."""


class CostOfAnswer(Scorer):
    """What this answer is expected to cost, and not what a minute or a token does: else slow nodes would look cheap.

    1 for a free one, and one ninth less for each tenfold: 1 sat 0.67, 10 sats 0.56, 100 sats 0.44.
    """

    name = "price"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        return max(0.0, 1 - math.log10(1 + stats.expected_msat) / DECADES)
