"""Does the model fit what is asked?"""

from __future__ import annotations

import math

from lightphon_core.ports import Scorer
from lightphon_core.routing.expected import completion_tokens, prompt_tokens
from lightphon_core.types import Capability, Focus, Needs, Offer, Size, Stats

LARGEST_B = 128.0
"""Thousand millions of parameters that count as large as can be."""
WANTED = {Focus.CODE: Capability.CODE, Focus.REASONING: Capability.REASONING}
"""What a model should be good at, by the word after `auto:`."""


class Fit(Scorer):
    """The mean of how the model's size suits, of whether its context has room for the answer too, and, where code or
    reasoning is looked for, twice of whether it is made for that."""

    name = "capability"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        model = offer.model
        size, room = size_fit(model.params_b, needs.filters.prefer_size), room_fit(model.context_length, needs)
        wanted = None if needs.focus is None else WANTED.get(needs.focus)
        if wanted is None:
            return (size + room) / 2
        return (size + room + 2 * (wanted in model.capabilities)) / 4


def size_fit(params_b: float | None, wanted: Size | None) -> float:
    """From 0 to 1, how a model of so many thousand million parameters suits; 0.5 where the number is not known.

    `large` is log2(1 + params) / log2(1 + 128): 1B 0.14, 8B 0.45, 32B 0.72, 70B 0.88. Small is the opposite, balanced
    the middle (about 10B). Unless told, larger is better in moderation: from 0.25 to 0.75.
    """
    if params_b is None or not params_b >= 0:
        return 0.5
    large = min(1.0, math.log2(1 + params_b) / math.log2(1 + LARGEST_B))
    match wanted:
        case Size.LARGE:
            return large
        case Size.SMALL:
            return 1 - large
        case Size.BALANCED:
            return 1 - 2 * abs(large - 0.5)
        case _:
            return 0.25 + large / 2


def room_fit(context: int | None, needs: Needs) -> float:
    """1 where prompt and expected answer fit, else the part of them that does; 0.75 where the context is not known."""
    if context is None:
        return 0.75
    return min(1.0, context / max(1, prompt_tokens(needs) + completion_tokens(needs)))
