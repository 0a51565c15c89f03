"""When a balance is low: it pays for fewer than ten more answers such as the last ones, or such as the cheapest on
offer where there were none that cost anything."""

from __future__ import annotations

from typing import Final

from lightphon_core.routing.expected import ORDINARY, expected_msat
from lightphon_core.types import Price

ANSWERS: Final = 10


def is_low(available: int, answer: int) -> bool:
    """Whether `available` msat are little, where an answer costs about `answer` msat; 0 where answers are free."""
    return available < ANSWERS * answer


def ordinary_answer(price: Price | None) -> int:
    """What an ordinary answer costs at this price, in msat; 0 where there is none."""
    return 0 if price is None else expected_msat(price, ORDINARY, None, None)
