"""Which offers a request goes to, and in what order."""

import math
from collections import Counter
from collections.abc import Mapping

import pytest
from attrs import evolve

from lightphon_core import (
    Backend,
    Capability,
    Filters,
    Focus,
    Load,
    Model,
    Needs,
    Node,
    Offer,
    Price,
    PriceInForce,
    PriceSource,
    Scorer,
    Size,
    Sort,
    Stats,
)
from lightphon_core.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    NoNodesAvailable,
    PermissionDenied,
)
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.expected import expected_msat
from lightphon_core.routing.observations import HALF_LIFE_S, Observations
from lightphon_core.routing.presets import DEFAULT_WEIGHTS
from lightphon_core.routing.router import Router, Weighted
from lightphon_core.routing.scorers.availability import Availability
from lightphon_core.routing.scorers.plugin import SCORERS
from lightphon_core.routing.scorers.price import CostOfAnswer
from lightphon_core.routing.scorers.speed import Speed

CHAT = frozenset({Capability.CHAT})
NEEDS = Needs("/v1/chat/completions", None, CHAT, prompt_tokens=10)


BUILTIN = (Availability(), Speed())


class Shelf(Backend):
    name = "shelf"

    def __init__(self, *offers: Offer, load: Mapping[str, Load] | None = None) -> None:
        self.stock = list(offers)
        self.busy = load or {}

    def offers(self):
        return list(self.stock)

    def load(self):
        return self.busy

    def serve(self, job):
        raise AssertionError("nothing is served here")


def offer(id: str, model: str = "m", *, slots: int = 4, price: Price | None = None, **facts) -> Offer:  # noqa: A002
    known = {"capabilities": CHAT, "context_length": 1000, **facts}
    return Offer(id, Model(model, **known), Node(f"n-{id}", id), slots, price)


def asked_price(offer: Offer) -> PriceInForce:
    return PriceInForce(offer.price or Price(), PriceSource.NODE)


def router_of(shelf, scorers=BUILTIN, observations=None, price_of=asked_price, **more) -> Router:
    weighted = [
        Weighted(scorer, DEFAULT_WEIGHTS.get(scorer.name, 1.0) if len(scorers) > 2 else 1.0) for scorer in scorers
    ]
    seen = observations or Observations(lambda: 0.0)
    return Router(Catalogue([shelf], lambda: 7.0), weighted, seen, price_of, **more)


def ranked(shelf, needs=NEEDS, observations=None, scorers=BUILTIN):
    return router_of(shelf, scorers, observations).rank(needs).candidates


def ids(order) -> list[str]:
    return [each.entry.offer.id for each in order]


def test_free_slots_first_then_speed():
    shelf = Shelf(offer("busy"), offer("free"), load={"busy": Load(busy=4)})
    assert ids(ranked(shelf)) == ["free", "busy"]
    seen = Observations(lambda: 0.0)
    for name, speed in (("a", 10), ("b", 100)):
        seen.answered(("shelf", name), ttft_s=1.0, tokens=speed, seconds=1.0)
    order = ranked(Shelf(offer("a"), offer("b")), observations=seen)
    assert ids(order) == ["b", "a"]
    assert set(order[0].parts) == {"availability", "speed"}


def test_a_named_model_goes_to_its_own_offers_only():
    shelf = Shelf(offer("a", "x"), offer("b", "y"), offer("c", "x"))
    assert set(ids(ranked(shelf, evolve(NEEDS, model="x")))) == {"a", "c"}


def test_what_is_missing_says_so():
    shelf = Shelf(offer("a", "x"))
    with pytest.raises(ModelNotFound) as error:
        ranked(shelf, evolve(NEEDS, model="z"))
    assert error.value.param == "model"
    with pytest.raises(NoNodesAvailable):
        ranked(Shelf())
    tools = evolve(NEEDS, capabilities=CHAT | {Capability.TOOLS})
    with pytest.raises(InvalidRequest, match="'x' cannot do tools"):
        ranked(shelf, evolve(tools, model="x"))
    with pytest.raises(InvalidRequest, match="No model on offer can do tools"):
        ranked(shelf, tools)
    with pytest.raises(InvalidRequest, match="images"):
        ranked(shelf, evolve(NEEDS, capabilities=CHAT | {Capability.VISION}))
    with pytest.raises(ContextLengthExceeded, match="1000") as error:
        ranked(shelf, evolve(NEEDS, prompt_tokens=1000))
    assert error.value.code == "context_length_exceeded"


def test_only_what_is_allowed():
    shelf = Shelf(offer("a", "x"), offer("b", "y"), offer("c", "z"))

    def allowed(*models, model=None):
        router = router_of(shelf, scorers=())
        return set(ids(router.rank(evolve(NEEDS, model=model), allowed=frozenset(models)).candidates))

    assert allowed("x", "z", "gone") == {"a", "c"}
    assert allowed("x", "z", model="z") == {"c"}
    for missing in ("y", "never"):
        with pytest.raises(PermissionDenied, match="It may use x, z;") as error:
            allowed("x", "z", model=missing)
        assert (error.value.code, error.value.param) == ("model_not_allowed", "model")
    with pytest.raises(ModelNotFound):
        allowed("gone", model="gone")
    with pytest.raises(NoNodesAvailable, match="gone"):
        allowed("gone")


def test_needs_pick_the_node_that_can():
    shelf = Shelf(
        offer("small"), offer("large", context_length=9000), offer("tools", capabilities=CHAT | {Capability.TOOLS})
    )
    assert ids(ranked(shelf, evolve(NEEDS, prompt_tokens=5000))) == ["large"]
    assert ids(ranked(shelf, evolve(NEEDS, capabilities=CHAT | {Capability.TOOLS}))) == ["tools"]


def test_log_probabilities_and_several_choices_go_only_where_they_are_had():
    several = CHAT | {Capability.CHOICES}
    shelf = Shelf(
        offer("plain", slots=8),
        offer("two", capabilities=several, slots=2),
        offer("four", capabilities=several, slots=4),
        offer("tells", capabilities=CHAT | {Capability.LOGPROBS}),
    )
    assert ids(ranked(shelf, evolve(NEEDS, capabilities=CHAT | {Capability.LOGPROBS}))) == ["tells"]
    assert set(ids(ranked(shelf, evolve(NEEDS, capabilities=several, choices=2)))) == {"two", "four"}
    assert ids(ranked(shelf, evolve(NEEDS, capabilities=several, choices=3))) == ["four"]
    with pytest.raises(InvalidRequest, match="'n' must be at most 4") as error:
        ranked(shelf, evolve(NEEDS, capabilities=several, choices=5))
    assert error.value.param == "n"
    for capability, words in ((Capability.LOGPROBS, "log probabilities"), (Capability.CHOICES, "more than one choice")):
        with pytest.raises(InvalidRequest, match=f"'m' cannot do {words}"):
            ranked(Shelf(offer("plain")), evolve(NEEDS, model="m", capabilities=CHAT | {capability}, choices=2))


class Opinion(Scorer):
    """What a function says of an offer's id."""

    name = "opinion"

    def __init__(self, of) -> None:
        self._of = of

    def score(self, offer, needs, stats):
        return self._of(offer.id)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -0.001, 1.001, "0.5", KeyError("x")])
def test_what_is_no_score_is_left_out_there_said_once_and_shown(nonsense, caplog):
    def of(name):
        if name != "a":
            return 1.0
        if isinstance(nonsense, Exception):
            raise nonsense
        return nonsense

    router = router_of(Shelf(offer("a"), offer("b")), scorers=(Opinion(of), Availability()))
    for _ in range(3):
        order = router.rank(NEEDS).candidates
        assert ids(order) == ["b", "a"]
        assert order[0].parts.keys() == {"opinion", "availability"}
        assert order[1].parts.keys() == {"availability"}
        assert order[1].score == pytest.approx(0.75)  # no opinion counts one half
    assert list(router.faults) == ["opinion"]
    assert caplog.text.count("a scorer answered what is no score") == 1


def test_a_full_offer_comes_last_and_equal_ones_go_by_load():
    shelf = Shelf(offer("a"), offer("b"), offer("c"), load={"a": Load(busy=3, queued=1), "b": Load(busy=1)})
    liked = Opinion(lambda name: float(name == "a"))
    assert ids(ranked(shelf, scorers=(liked,))) == ["c", "b", "a"]


def test_requests_of_one_moment_spread_by_what_the_gateway_counts_itself():
    """Backends tell their loads late: here, never. What was picked counts at once."""
    picked = Counter()
    router = router_of(
        Shelf(*(offer(f"o{i}") for i in range(25))), load=lambda entry: Load(busy=picked[entry.offer.id])
    )
    for _ in range(100):
        picked[ids(router.rank(NEEDS).candidates)[0]] += 1
    assert set(picked.values()) == {4}


def test_a_new_offer_starts_slowly():
    new, known = Stats(Load(busy=1)), Stats(Load(busy=1), answers=3)
    scores = [Availability().score(offer("a"), NEEDS, stats) for stats in (Stats(), new, known)]
    assert scores == [1.0, 0.0, 0.75]


def test_an_offer_that_comes_back_starts_slowly_but_its_speed_is_remembered():
    shelf, seen = Shelf(offer("a")), Observations(lambda: 0.0)
    router = router_of(shelf, observations=seen)
    router.rank(NEEDS)
    seen.answered(("shelf", "a"), ttft_s=1.0, tokens=50, seconds=1.0)
    assert router.rank(NEEDS).candidates[0].stats.answers == 1
    back, shelf.stock = shelf.stock, []
    router.catalogue.invalidate()
    with pytest.raises(NoNodesAvailable):
        router.rank(NEEDS)
    shelf.stock = back
    router.catalogue.invalidate()
    (again,) = router.rank(NEEDS).candidates
    assert (again.stats.answers, again.stats.tokens_per_s) == (0, 50.0)


def test_prices_in_force_are_heard_of():
    prices = {"a": 5, "b": 7}
    router = router_of(
        Shelf(offer("a"), offer("b")),
        scorers=(CostOfAnswer(),),
        price_of=lambda each: PriceInForce(Price(per_request=prices[each.id]), PriceSource.ACCOUNT),
    )
    assert ids(router.rank(NEEDS).candidates) == ["a", "b"]
    prices["a"] = 9
    router.prices_changed({("n-a", "m")})
    best, other = router.rank(NEEDS).candidates
    assert (best.entry.offer.id, best.stats.expected_msat, other.stats.expected_msat) == ("b", 7, 9)
    assert other.stats.price == Price(per_request=9)


def test_expected_cost_is_of_the_whole_answer():
    """400 tokens at 40 a second and half a second before them: 10.5 s; the prompt has four times the tokens."""
    price = Price(per_minute=600, per_mtok_prompt=10**6, per_mtok_completion=10**6, per_request=3)
    assert expected_msat(price, NEEDS, 0.5, 40.0) == 105 + 40 + 400 + 3
    assert expected_msat(price, evolve(NEEDS, max_output_tokens=100, choices=2), 0.5, 40.0) == 30 + 40 + 200 + 3
    assert expected_msat(Price(), NEEDS, None, None) == 0
    slow, fast = (expected_msat(Price(per_minute=600), NEEDS, 0.5, speed) for speed in (2.0, 40.0))
    assert slow > 10 * fast, "a minute costs the same, an answer does not"


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        (evolve(NEEDS, filters=Filters(sort=Sort.PRICE)), "cheap"),
        (evolve(NEEDS, filters=Filters(sort=Sort.THROUGHPUT)), "quick"),
        (evolve(NEEDS, filters=Filters(sort=Sort.LATENCY)), "prompt"),
        (evolve(NEEDS, focus=Focus.CHEAP), "cheap"),
        (evolve(NEEDS, focus=Focus.CODE), "coder"),
        (evolve(NEEDS, filters=Filters(prefer_size=Size.LARGE)), "large"),
        (evolve(NEEDS, filters=Filters(prefer_size=Size.SMALL)), "small"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_asked_for_shifts_what_counts(asked, first):
    dear = Price(per_request=40_000)
    facts = {
        "cheap": {"params_b": 14.0},
        "quick": {"params_b": 14.0, "price": dear},
        "prompt": {"params_b": 14.0, "price": dear},
        "coder": {"params_b": 14.0, "price": dear, "capabilities": CHAT | {Capability.CODE}},
        "large": {"params_b": 120.0, "price": dear},
        "small": {"params_b": 0.5, "price": dear},
    }
    seen = Observations(lambda: 0.0)
    for name in facts:
        ttft_s, speed = {"quick": (2.0, 90), "prompt": (0.1, 20)}.get(name, (1.0, 30))
        seen.answered(("shelf", name), ttft_s=ttft_s, tokens=speed, seconds=1.0)
    shelf = Shelf(*(offer(name, name, **known) for name, known in facts.items()))
    assert ids(router_of(shelf, scorers=SCORERS, observations=seen).rank(asked).candidates)[0] == first


def test_a_conversation_returns_to_the_offer_that_holds_it_while_that_has_a_free_slot():
    shelf = Shelf(*(offer(name) for name in "abc"), load={"c": Load(busy=3)})
    router = router_of(shelf, scorers=SCORERS, holder=lambda session: ("shelf", "c") if session == "s" else None)
    assert ids(router.rank(evolve(NEEDS, session="s")).candidates)[0] == "c"
    assert ids(router.rank(evolve(NEEDS, session="t")).candidates)[-1] == "c"
    assert ids(router.rank(NEEDS).candidates)[-1] == "c"
    shelf.busy["c"] = Load(busy=4)
    assert ids(router.rank(evolve(NEEDS, session="s")).candidates)[-1] == "c"


def test_fall_backs_come_in_their_order_and_errors_only_when_none_is_left():
    shelf = Shelf(offer("a", "x"), offer("b", "y"), offer("c", "z"), load={"b": Load(busy=4)})
    router = router_of(shelf)
    asked = evolve(NEEDS, model="y", fallbacks=("never", "x"))
    ranking = router.rank(asked)
    assert (ids(ranking.candidates), ranking.excluded) == (["b", "a"], {"model": 1})
    assert ids(router.rank(evolve(asked, model="never", fallbacks=("x", None))).candidates) == ["a", "c", "b"]
    assert ids(router.rank(asked, allowed=frozenset({"x"})).candidates) == ["a"]
    with pytest.raises(ModelNotFound, match="'never'"):
        router.rank(evolve(asked, model="never", fallbacks=("nor this",)))
    shelf.stock = shelf.stock[:1]
    router.catalogue.invalidate()
    with pytest.raises(NoNodesAvailable, match="'y'"):  # waiting may help, so that is what is said
        router.rank(evolve(asked, model="never", fallbacks=("y",)))


def test_observations_decay():
    now = 0.0
    seen = Observations(lambda: now)
    key = ("b", "o")
    assert seen.stats(key, Load()) == Stats()
    seen.answered(key, ttft_s=1.0, tokens=101, seconds=2.0)
    seen.answered(key, ttft_s=0.0, tokens=1, seconds=0.0)
    stats = seen.stats(key, Load(busy=1))
    assert (stats.ttft_s, stats.tokens_per_s, stats.load.busy) == (pytest.approx(0.7), pytest.approx(50.5), 1)
    seen.failed(key)
    seen.failed(key)
    assert seen.stats(key, Load()).failures == pytest.approx(2.0)
    now = HALF_LIFE_S
    assert seen.stats(key, Load()).failures == pytest.approx(1.0)
    assert seen.stats(key, Load()).tokens_per_s == pytest.approx(50.5)
