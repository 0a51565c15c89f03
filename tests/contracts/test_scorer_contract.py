"""The scorer suite: the built-in scorers pass it, and each check catches what it is for."""

import random

import pytest

from lightphon_core import Scorer
from lightphon_core.routing.scorers.availability import Availability
from lightphon_core.routing.scorers.plugin import SCORERS
from lightphon_core.testing import ScorerContract, scorer


class TestBuiltin(ScorerContract):
    @pytest.fixture(params=SCORERS, ids=lambda scorer: scorer.name)
    def scorer(self, request):
        return request.param


class Scores(Scorer):
    """By a function of (offer, needs, stats)."""

    name = "scores"

    def __init__(self, score) -> None:
        self._score = score

    def score(self, offer, needs, stats):
        return self._score(offer, needs, stats)


class Named(Availability):
    def __init__(self, name) -> None:
        self.name = name


class Remembers(Scorer):
    name = "remembers"
    asked = 0

    def score(self, offer, needs, stats):
        self.asked += 1
        return 1 / self.asked


BROKEN = [
    ("name", Named(7), "is a string"),
    ("name", Named("two words"), "one plain word"),
    ("range", Scores(lambda *_: 1.01), "from 0 to 1"),
    ("range", Scores(lambda *_: -0.01), "from 0 to 1"),
    ("range", Scores(lambda *_: float("nan")), "finite"),
    ("range", Scores(lambda *_: float("inf")), "finite"),
    ("range", Scores(lambda *_: "0.5"), "number or None"),
    ("range", Scores(lambda *_: True), "truth value"),
    ("range", Scores(lambda offer, needs, stats: 1 - stats.load.busy / offer.slots), "from 0 to 1"),  # over-full
    ("range", Scores(lambda offer, needs, stats: stats.tokens_per_s), "from 0 to 1"),
    ("pure", Scores(lambda *_: random.random()), "arguments alone"),
    ("pure", Remembers(), "arguments alone"),
]


@pytest.mark.parametrize(("check", "broken", "words"), BROKEN)
def test_a_broken_promise_is_caught(check, broken, words):
    with pytest.raises(AssertionError, match=words):
        getattr(scorer, f"check_{check}")(broken)


def test_every_check_has_something_to_catch():
    assert {f"check_{name}" for name, _, _ in BROKEN} == {check.__name__ for check in scorer.CHECKS}
