"""What a bitcoin costs, from what several sources say that it costs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from statistics import median

from attrs import frozen

from lightphon_core.money import BASIS_POINTS

TOLERANCE_BPS = 200
"""How far from the median a source may be and still agree with it: 2 %."""
LEAST_SOURCES = 2


@frozen
class Agreement:
    """`rate` is the median of all that were heard; `agreed` are the sources near it, `outliers` those that are not."""

    rate: Decimal
    agreed: frozenset[str]
    outliers: frozenset[str]


def agree(prices: Mapping[str, Decimal]) -> Agreement | None:
    """What the sources agree on; None where fewer than two are within 2 % of the median of all.

    It is the median of all of them, and not of the near ones: so fewer than half of the sources, whatever they say,
    cannot move it beyond the least or the greatest that the others say.
    """
    if len(prices) < LEAST_SOURCES:
        return None
    middle = median(prices.values())
    near = frozenset(
        name for name, price in prices.items() if abs(price - middle) * BASIS_POINTS <= middle * TOLERANCE_BPS
    )
    if len(near) < LEAST_SOURCES:
        return None
    return Agreement(middle, near, frozenset(prices) - near)
