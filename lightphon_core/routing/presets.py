"""How much each scorer counts: the defaults, and how what a request asks for shifts them."""

from __future__ import annotations

from collections.abc import Mapping

from lightphon_core.types import Focus, Needs, Sort

DEFAULT_WEIGHTS: Mapping[str, float] = {
    "availability": 2.0,
    "speed": 1.0,
    "capability": 1.0,
    "price": 1.0,
    "affinity": 3.0,
}
"""Weights of the built-in scorers; another one's is 1. `[routing.weights]` goes before both."""

FOCUS: Mapping[Focus, Mapping[str, float]] = {
    Focus.FAST: {"speed": 8.0},
    Focus.CHEAP: {"price": 8.0},
    Focus.CODE: {"capability": 8.0},
    Focus.REASONING: {"capability": 8.0},
    Focus.FREE: {},
}
"""By the word after `auto:`, what weights are multiplied by. A preference: a full or failing offer is still avoided."""

SORT: Mapping[Sort, Mapping[str, float]] = {
    Sort.BEST: {},
    Sort.PRICE: {"price": 100.0},
    Sort.THROUGHPUT: {"speed": 100.0},
    Sort.LATENCY: {"speed": 100.0},
}
"""By `sort`, likewise. Above all: the other scorers are left to decide between equals."""


PREFER_SIZE: Mapping[str, float] = {"capability": 4.0}
"""Where a size is preferred, likewise, and on top of the others."""


def factors(needs: Needs) -> Mapping[str, float]:
    """What the weights are multiplied by for this request, by scorer; 1 for the others. `sort` goes before the word
    after `auto:`."""
    chosen: Mapping[str, float] = {}
    if needs.filters.sort is not None:
        chosen = SORT[needs.filters.sort]
    elif needs.focus is not None:
        chosen = FOCUS[needs.focus]
    if needs.filters.prefer_size is None:
        return chosen
    return {name: chosen.get(name, 1.0) * PREFER_SIZE.get(name, 1.0) for name in chosen.keys() | PREFER_SIZE.keys()}
