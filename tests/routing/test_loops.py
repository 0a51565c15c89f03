"""What asks us is never asked in turn; and what `auto` leaves out has to be named."""

import pytest
from attrs import evolve

from lightphon_core import Backend, Capability, Filters, Focus, Model, Needs, Node, Offer, Price
from lightphon_core.errors import InvalidRequest, ModelNotAvailable, NoNodesAvailable
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.router import WHOLE, Router
from lightphon_core.types import PriceInForce, PriceSource

CHAT = frozenset({Capability.CHAT})
TOOLS = CHAT | {Capability.TOOLS}
NEEDS = Needs("/v1/chat/completions", None, CHAT)
FROM_IT = evolve(NEEDS, via=frozenset({"openclaw"}))
CLAW, CLAW_2, BOX = (
    Node("claw", "OpenClaw", gateway="openclaw"),
    Node("claw-2", "Second", gateway="openclaw"),
    Node("b", "box"),
)


class Shelf(Backend):
    def __init__(self, name: str, *offers: tuple[str, Node], **facts) -> None:
        self.name = name
        facts = {"capabilities": CHAT, **facts}
        self.stock = [Offer(str(at), Model(model, **facts), node) for at, (model, node) in enumerate(offers)]

    def offers(self):
        return list(self.stock)

    def serve(self, job):
        raise AssertionError("nothing is served here")


OPENCLAW = Shelf("openclaw", ("openclaw/default", CLAW), ("shared", CLAW_2), capabilities=TOOLS)
GGUF = Shelf("gguf", ("llama", BOX), ("shared", BOX), context_length=1000)


def free(_):
    return PriceInForce(Price(), PriceSource.DEFAULT)


def router(*shelves: Backend, price=free, **more) -> Router:
    return Router(Catalogue(shelves, lambda: 0.0), [], Observations(lambda: 0.0), price, **more)


def keys(ranking):
    return {(each.entry.backend.name, each.entry.offer.model.id) for each in ranking.candidates}


ALL = {("openclaw", "openclaw/default"), ("openclaw", "shared"), ("gguf", "llama"), ("gguf", "shared")}


@pytest.mark.parametrize(
    ("needs", "models", "left_out"),
    [
        ({}, {"llama", "shared"}, 2),
        ({"model": "shared"}, {"shared"}, 1),
        ({"model": "openclaw/default", "fallbacks": ("llama",)}, {"llama"}, 1),
        ({"model": "openclaw/default", "fallbacks": (None,)}, {"llama", "shared"}, 2),
        ({"focus": Focus.FREE}, {"llama", "shared"}, 2),
        ({"session": "s"}, {"llama", "shared"}, 2),
    ],
)
def test_what_came_from_it_never_goes_there_again(needs, models, left_out):
    ask = router(OPENCLAW, GGUF, holder=lambda _: ("openclaw", "0"))
    ranking = ask.consider(evolve(FROM_IT, **needs))
    assert keys(ranking) == {("gguf", model) for model in models} == keys(ask.rank(evolve(FROM_IT, **needs)))
    assert ranking.excluded["loop"] == left_out


def test_others_go_wherever_they_like():
    ask = router(OPENCLAW, GGUF)
    for via in (frozenset(), frozenset({"claude"}), frozenset({"OpenClaw"})):  # words are in lower case when they come
        assert keys(ask.rank(evolve(NEEDS, via=via))) == ALL
    assert keys(ask.rank(evolve(NEEDS, model="shared"))) == {("openclaw", "shared"), ("gguf", "shared")}


def refusal(ask, needs, kind, **more):
    with pytest.raises(kind) as caught:
        ask.rank(needs, **more)
    return caught.value


def test_a_model_that_it_alone_has_is_refused_for_good():
    error = refusal(router(OPENCLAW, GGUF), evolve(FROM_IT, model="openclaw/default"), ModelNotAvailable)
    assert error.param == "model"
    assert error.message == (
        "Only openclaw has the model 'openclaw/default', and this request comes from there: it would go round in a "
        'circle. Name another model, or "auto". If it comes from elsewhere, use a key that is not marked so (used_by).'
    )


def test_auto_with_nothing_else_waits_for_a_node():
    """Which may come any time; and a client that takes a 4xx for the end of it would give its provider up."""
    error = refusal(router(OPENCLAW), FROM_IT, NoNodesAvailable)
    assert error.retry_after > 0
    assert error.message == (
        "No node is online, but for openclaw, which this request comes from: it would go round in a circle. Nodes "
        "reconnect by themselves; try again shortly."
    )
    assert refusal(router(), FROM_IT, NoNodesAvailable).message.startswith("No node is online. ")
    allowed = frozenset({"openclaw/default"})
    assert "which this key may use (openclaw/default), but for openclaw" in (
        refusal(router(OPENCLAW, GGUF), FROM_IT, NoNodesAvailable, allowed=allowed).message
    )


def test_what_it_has_is_not_recommended_to_it():
    error = refusal(router(OPENCLAW, GGUF), evolve(FROM_IT, model="llama", capabilities=TOOLS), InvalidRequest)
    assert error.message == "The model 'llama' cannot do tools. No model that this key may use can."
    error = refusal(router(OPENCLAW, GGUF), evolve(NEEDS, model="llama", capabilities=TOOLS), InvalidRequest)
    assert error.message == "The model 'llama' cannot do tools. These can: openclaw/default, shared."


@pytest.mark.parametrize("names", [("openclaw",), ("OpenClaw", "second"), ("claw", "CLAW-2"), ("openclaw", "nobody")])
def test_auto_leaves_a_backend_or_its_nodes_out(names):
    ask = router(OPENCLAW, GGUF, not_in_auto=names)
    ranking = ask.consider(NEEDS)
    assert keys(ranking) == {("gguf", "llama"), ("gguf", "shared")} == keys(ask.rank(NEEDS))
    assert ranking.excluded == {"not_in_auto": 2}
    named = evolve(NEEDS, model="openclaw/default")
    assert keys(ask.rank(named)) == {("openclaw", "openclaw/default")}
    assert keys(ask.rank(evolve(NEEDS, model="shared"))) == {("openclaw", "shared"), ("gguf", "shared")}
    for model, *fallbacks in (("openclaw/default", None), (None, "openclaw/default")):
        both = ask.consider(evolve(NEEDS, model=model, fallbacks=tuple(fallbacks)))
        assert keys(both) == ALL - {("openclaw", "shared")}
        assert both.excluded == {"not_in_auto": 1}


def test_one_node_of_a_backend():
    ask = router(OPENCLAW, GGUF, not_in_auto=["Second"])
    assert keys(ask.rank(NEEDS)) == ALL - {("openclaw", "shared")}


def test_auto_with_nothing_left_says_what_can_be_named():
    ask = router(OPENCLAW, not_in_auto=["openclaw"])
    assert refusal(ask, NEEDS, NoNodesAvailable).message == (
        'No node is online that "auto" may choose. Name a model (openclaw/default, shared), or try again shortly.'
    )
    error = refusal(router(OPENCLAW, GGUF, not_in_auto=["openclaw"]), evolve(NEEDS, capabilities=TOOLS), InvalidRequest)
    assert error.message == 'No model that "auto" may choose can do tools.'
    error = refusal(
        router(OPENCLAW, GGUF, not_in_auto=["openclaw"]),
        evolve(NEEDS, filters=Filters(models=frozenset({"openclaw/default"}))),
        ModelNotAvailable,
    )
    assert error.param == "route.models"


def test_a_view_of_the_models():
    prices = {"claw-2": Price(per_request=1), "b": Price(per_request=2)}

    def price(offer):
        return PriceInForce(prices.get(offer.node.id, Price()), PriceSource.NODE)

    ask = router(OPENCLAW, GGUF, price=price, not_in_auto=["claw"])
    seen = ask.view(frozenset({"openclaw", "other"}))
    assert seen == ask.view(frozenset({"openclaw"})) != WHOLE
    assert ask.view(frozenset({"other"})) == ask.view() == WHOLE

    def listed(view):
        return {each.model.id: (each.nodes_online, each.model.capabilities) for each in ask.models(view)}

    assert listed(WHOLE) == {"llama": (1, CHAT), "openclaw/default": (1, TOOLS), "shared": (2, TOOLS)}
    assert listed(seen) == {"llama": (1, CHAT), "shared": (1, CHAT)}
    assert listed(ask.view(in_auto=True)) == {"llama": (1, CHAT), "shared": (2, TOOLS)}
    assert ask.price_of("shared", WHOLE) == Price(per_request=1)
    assert ask.price_of("shared", seen) == Price(per_request=2)
    assert ask.price_of("openclaw/default", seen) is None
    assert {each.model.id: each for each in ask.models(seen)}["llama"] is ask.models(WHOLE)[0]
    assert router(GGUF, not_in_auto=["claw"]).view(frozenset({"openclaw"}), in_auto=True) == WHOLE
