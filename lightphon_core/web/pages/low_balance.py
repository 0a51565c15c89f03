"""When a balance is low: it pays for fewer than ten more answers such as the last ones, or such as the cheapest on
offer where there were none that cost anything."""

from __future__ import annotations

from typing import Final

from lightphon_core.routing.expected import ORDINARY, cheapest, expected_msat
from lightphon_core.routing.router import WHOLE, Router

ANSWERS: Final = 10


def is_low(available: int, answer: int) -> bool:
    """Whether `available` msat are little, where an answer costs about `answer` msat; 0 where answers are free."""
    return available < ANSWERS * answer


def cheapest_answer(router: Router) -> int:
    """What an ordinary answer costs of the cheapest model on offer, in msat; 0 where there is none."""
    prices = {router.price_of(each.model.id, WHOLE) for each in router.models(router.view())}
    best = cheapest(price for price in prices if price is not None)
    return 0 if best is None else expected_msat(best, ORDINARY, None, None)
