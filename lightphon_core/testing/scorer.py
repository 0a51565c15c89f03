"""What every `Scorer` must do."""

import itertools
import math
from collections.abc import Callable

import pytest

from lightphon_core.money import MAX_MSAT
from lightphon_core.ports import Scorer
from lightphon_core.types import (
    Capability,
    Filters,
    Focus,
    Load,
    Model,
    Needs,
    Node,
    Offer,
    Price,
    Size,
    Sort,
    Stats,
)

MODELS = [
    Model("a"),
    Model("b/c", frozenset(Capability), context_length=131_072, maker="qwen", params_b=0.135, quantization="Q4_1"),
    Model("d", context_length=0, params_b=1e9),
]
OFFERS = [Offer("o", model, Node("n", "node"), slots) for model in MODELS for slots in (1, 64)]
NEEDS = [
    Needs("/v1/chat/completions", None, frozenset({Capability.CHAT})),
    Needs("/v1/chat/completions", "a", frozenset({Capability.CHAT, Capability.TOOLS}), 100_000, 1),
    *(
        Needs(
            "/v1/chat/completions", None, frozenset(), choices=4, focus=focus, filters=Filters(sort=sort), session="s"
        )
        for focus, sort in ((Focus.FREE, Sort.PRICE), (Focus.CODE, Sort.LATENCY), (Focus.FAST, Sort.THROUGHPUT))
    ),
    *(Needs("/v1/chat/completions", None, frozenset(), filters=Filters(prefer_size=size)) for size in Size),
]
STATS = [
    Stats(),
    Stats(Load(busy=64, queued=1000), ttft_s=0.0, tokens_per_s=0.0, failures=1e9),
    Stats(Load(busy=1), ttft_s=1e-9, tokens_per_s=1e9, failures=0.5),
    Stats(answers=10**9, price=Price(per_request=MAX_MSAT), expected_msat=MAX_MSAT, holds_session=False),
    Stats(Load(busy=63), ttft_s=1e9, answers=1, expected_msat=1, holds_session=True),
]


def check_name(scorer: Scorer) -> None:
    """A name, for settings and for `parts`."""
    assert isinstance(scorer.name, str), "a scorer's name is a string"
    assert scorer.name.isidentifier(), f"a scorer's name is one plain word, not {scorer.name!r}"


def check_range(scorer: Scorer) -> None:
    """From 0 to 1, or None, whatever is known or not known of the offer."""
    for offer, needs, stats in itertools.product(OFFERS, NEEDS, STATS):
        score = scorer.score(offer, needs, stats)
        if score is not None:
            assert isinstance(score, (int, float)), f"a score is a number or None, not {score!r}"
            assert not isinstance(score, bool), "a score is a number, not a truth value"
            assert math.isfinite(score), f"a score is finite, not {score!r}"
            assert 0 <= score <= 1, f"a score lies from 0 to 1; {score!r} does not, for {offer}, {needs}, {stats}"


def check_pure(scorer: Scorer) -> None:
    """The same question has the same answer, whatever was asked between."""
    questions = list(itertools.product(OFFERS, NEEDS, STATS))
    first = [scorer.score(*question) for question in questions]
    again = [scorer.score(*question) for question in reversed(questions)][::-1]
    assert first == again, "a score depends on its arguments alone"


CHECKS: list[Callable[[Scorer], None]] = [check_name, check_range, check_pure]


class ScorerContract:
    """Subclass it in a test file, and give the fixture `scorer`."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(self, check: Callable[[Scorer], None], scorer: Scorer) -> None:
        """One promise of the port."""
        check(scorer)
