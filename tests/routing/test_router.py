"""Which offers a request goes to, and in what order."""

import math
from collections.abc import Mapping

import pytest
from attrs import evolve

from lightphon_core import (
    Backend,
    Capability,
    Load,
    Model,
    Needs,
    Node,
    Offer,
    Price,
    PriceInForce,
    PriceSource,
    Scorer,
    Stats,
)
from lightphon_core.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotAvailable,
    ModelNotFound,
    NoNodesAvailable,
    PermissionDenied,
)
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.observations import HALF_LIFE_S, Observations
from lightphon_core.routing.router import Router, Weighted
from lightphon_core.routing.scorers.availability import Availability
from lightphon_core.routing.scorers.speed import Speed

CHAT = frozenset({Capability.CHAT})
NEEDS = Needs("/v1/chat/completions", None, CHAT, prompt_tokens=10)


BUILTIN = (Availability(), Speed())


class Shelf(Backend):
    name = "shelf"

    def __init__(self, *offers: Offer, load: Mapping[str, Load] | None = None) -> None:
        self.stock = list(offers)
        self.busy = load or {}
        self.read = 0

    def offers(self):
        self.read += 1
        return list(self.stock)

    def load(self):
        return self.busy

    def serve(self, job):
        raise AssertionError("nothing is served here")


def offer(id: str, model: str = "m", *, slots: int = 4, **facts) -> Offer:  # noqa: A002
    return Offer(
        id, Model(model, **{"capabilities": CHAT, "context_length": 1000, **facts}), Node(f"n-{id}", id), slots
    )


def price(offer: Offer) -> PriceInForce:
    return PriceInForce(offer.price or Price(), PriceSource.NODE)


def ranked(shelf, needs=NEEDS, observations=None, scorers=BUILTIN):
    weighted = [Weighted(scorer, 1.0) for scorer in scorers]
    seen = observations or Observations(lambda: 0.0)
    return Router(Catalogue([shelf], lambda: 7.0), weighted, seen, price).rank(needs).candidates


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
    with pytest.raises(ModelNotAvailable, match="tools"):
        ranked(shelf, tools)
    with pytest.raises(InvalidRequest, match="images"):
        ranked(shelf, evolve(NEEDS, capabilities=CHAT | {Capability.VISION}))
    with pytest.raises(ContextLengthExceeded, match="1000") as error:
        ranked(shelf, evolve(NEEDS, prompt_tokens=1000))
    assert error.value.code == "context_length_exceeded"


def test_only_what_is_allowed():
    shelf = Shelf(offer("a", "x"), offer("b", "y"), offer("c", "z"))

    def allowed(*models, model=None):
        catalogue = Catalogue([shelf], lambda: 7.0)
        needs = evolve(NEEDS, model=model)
        router = Router(catalogue, [], Observations(lambda: 0.0), price)
        return set(ids(router.rank(needs, allowed=frozenset(models)).candidates))

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


@pytest.mark.parametrize("nonsense", [math.nan, math.inf])
def test_an_opinion_that_is_no_number_counts_as_none(nonsense):
    class Odd(Scorer):
        name = "odd"

        def score(self, offer, needs, stats):
            return nonsense if offer.id == "a" else 1.0

    order = ranked(Shelf(offer("a"), offer("b")), scorers=(Odd(),))
    assert ids(order) == ["b", "a"]
    assert "odd" not in order[1].parts


def test_the_catalogue_reads_again_only_when_told():
    shelf = Shelf(offer("a", "x"))
    catalogue = Catalogue([shelf], lambda: 7.0)
    for _ in range(3):
        assert [listed.model.id for listed in catalogue.models()] == ["x"]
    assert shelf.read == 1
    shelf.stock = [offer("b", "y")]
    catalogue.invalidate()
    assert [listed.model.id for listed in catalogue.models()] == ["y"]
    assert catalogue.was_offered("x")
    assert not catalogue.was_offered("z")


def test_one_model_on_several_nodes_is_listed_once():
    able = CHAT | {Capability.TOOLS}
    shelf = Shelf(
        offer("a", context_length=100), offer("b", context_length=None), offer("c", capabilities=able, maker="qwen")
    )
    (listed,) = Catalogue([shelf], lambda: 7.0).models()
    assert (listed.nodes_online, listed.created) == (3, 7)
    assert (listed.model.capabilities, listed.model.context_length, listed.model.maker) == (able, 1000, "qwen")


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
