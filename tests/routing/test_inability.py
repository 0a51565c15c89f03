"""What no offer can do: a wrong request, told with what could."""

import pytest
from attrs import evolve

from lightphon_core import (
    Backend,
    Capability,
    Filters,
    Focus,
    Model,
    Needs,
    Node,
    Offer,
    Price,
    PriceInForce,
    PriceSource,
)
from lightphon_core.errors import ContextLengthExceeded, InvalidRequest, ModelNotAvailable
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.expected import ORDINARY, cheapest, expected_msat
from lightphon_core.routing.inability import ASKED_BY, CAPABILITY_IN_WORDS, ENDPOINTS, PROMPT
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.router import Router

C = Capability
CHAT, EMBEDDINGS, PLAIN = "/v1/chat/completions", "/v1/embeddings", "/v1/completions"


class Shelf(Backend):
    name = "shelf"

    def __init__(self, *models: Model) -> None:
        self.stock = [Offer(str(at), each, Node(f"node-{at}", f"box{at}"), 4) for at, each in enumerate(models)]

    def offers(self):
        return self.stock

    def serve(self, job):
        raise AssertionError("nothing is served here")


def able(id: str, *capabilities: Capability, context: int | None = 1000) -> Model:  # noqa: A002
    return Model(id, frozenset(capabilities), context)


def rank(needs: Needs, *models: Model, allowed: frozenset[str] | None = None):
    def price(offer):
        return PriceInForce(Price(), PriceSource.DEFAULT)

    router = Router(Catalogue([Shelf(*models)], lambda: 0.0), [], Observations(lambda: 0.0), price)
    return router.rank(needs, allowed=allowed)


def asks(model: str | None, *capabilities: Capability, path: str = CHAT, **more) -> Needs:
    return Needs(path, model, frozenset(capabilities), prompt_tokens=10, **more)


def wrong(needs: Needs, *models: Model, allowed: frozenset[str] | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as error:
        rank(needs, *models, allowed=allowed)
    assert error.value.code in ("unsupported", "context_length_exceeded")
    return error.value


BARE = able("bare", C.CHAT)
TOOLS = [able(f"t{at}", C.CHAT, C.TOOLS) for at in range(7)]
SEES = able("sees", C.CHAT, C.VISION)
VECTORS = able("vectors", C.EMBEDDING)
BASE = able("base", C.COMPLETION)
FILLS = able("fills", C.COMPLETION, C.CHAT, C.INFILL)

REFUSED = {
    "some that can": (
        asks("bare", C.CHAT, C.TOOLS),
        [BARE, *TOOLS],
        "The model 'bare' cannot do tools. These can: t0, t1, t2, t3, t4 and 2 more.",
        "model",
    ),
    "none that can": (
        asks("bare", C.CHAT, C.TOOLS),
        [BARE, SEES],
        "The model 'bare' cannot do tools. No model on offer can.",
        "model",
    ),
    "those that can have no room": (
        asks("bare", C.CHAT, C.TOOLS, context_tokens=1000),
        [BARE, *TOOLS, able("roomy", C.CHAT, C.TOOLS, context=1001), able("who knows", C.CHAT, C.TOOLS, context=None)],
        "The model 'bare' cannot do tools. These can: roomy, who knows.",
        "model",
    ),
    "only part of it": (
        asks("t0", C.CHAT, C.TOOLS, C.VISION),
        [TOOLS[0], SEES, able("both", C.CHAT, C.TOOLS, C.VISION)],
        "The model 't0' cannot do images. These can: both.",
        "model",
    ),
    "never at once": (
        asks(None, C.CHAT, C.TOOLS, C.VISION),
        [TOOLS[0], SEES],
        "No model on offer can do chat and tools and images at once.",
        "model",
    ),
    "a chat with what makes vectors": (
        asks("vectors", C.CHAT),
        [VECTORS, BARE],
        "The model 'vectors' cannot do chat. It serves embeddings: POST /v1/embeddings. These can: bare.",
        "model",
    ),
    "vectors of what chats": (
        asks("fills", C.EMBEDDING, path=EMBEDDINGS),
        [FILLS, VECTORS],
        (
            "The model 'fills' cannot do embeddings. It serves chat: POST /v1/chat/completions and plain text "
            "completion: POST /v1/completions. These can: vectors."
        ),
        "model",
    ),
    "a chat with a base model": (
        asks("base", C.CHAT),
        [BASE],
        (
            "The model 'base' cannot do chat. It serves plain text completion: POST /v1/completions. "
            "No model on offer can."
        ),
        "model",
    ),
    "a suffix": (
        asks("base", C.COMPLETION, C.INFILL, path=PLAIN),
        [BASE, FILLS],
        "The model 'base' cannot do infill. These can: fills.",
        "model",
    ),
    "auto and tools": (asks(None, C.CHAT, C.TOOLS), [BARE, SEES], "No model on offer can do tools.", "tools"),
    "auto and images": (
        asks(None, C.CHAT, C.VISION),
        [BARE],
        "No model on offer can do images. Send text only.",
        "messages",
    ),
    "auto and JSON": (asks(None, C.CHAT, C.JSON), [BARE], "No model on offer can do JSON output.", "response_format"),
    "auto and log probabilities": (
        asks(None, C.CHAT, C.LOGPROBS),
        [BARE],
        "No model on offer can do log probabilities.",
        "logprobs",
    ),
    "auto and choices": (
        asks(None, C.CHAT, C.CHOICES, choices=2),
        [BARE],
        "No model on offer can do more than one choice.",
        "n",
    ),
    "auto and infill": (
        asks(None, C.COMPLETION, C.INFILL, path=PLAIN),
        [BARE, BASE],
        "No model on offer can do infill.",
        "suffix",
    ),
    "auto and vectors": (
        asks(None, C.EMBEDDING, path=EMBEDDINGS),
        [BARE],
        "No model on offer can do embeddings.",
        "model",
    ),
    "auto:free and tools": (
        asks(None, C.CHAT, C.TOOLS, focus=Focus.FREE),
        [BARE],
        "No model on offer can do tools.",
        "tools",
    ),
}


@pytest.mark.parametrize(("needs", "models", "message", "param"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_offer_can_do_is_told_with_what_could(needs, models, message, param):
    error = wrong(needs, *models)
    assert (error.message, error.param, error.code) == (message, param, "unsupported")


def test_only_what_the_key_may_use_is_named():
    named = wrong(asks("bare", C.CHAT, C.TOOLS), BARE, *TOOLS, allowed=frozenset({"bare", "t3", "gone"}))
    assert named.message == "The model 'bare' cannot do tools. These can: t3."
    for model, message in (
        ("bare", "The model 'bare' cannot do tools. No model that this key may use can."),
        (None, "No model that this key may use can do tools."),
    ):
        error = wrong(asks(model, C.CHAT, C.TOOLS), BARE, *TOOLS, allowed=frozenset({"bare"}))
        assert error.message == message


BUT = "The prompt has at least 2000 tokens, but the"
TOO_LONG = {
    "another has room": (
        "bare",
        [
            BARE,
            able("long", C.CHAT, context=5000),
            able("longer", C.CHAT, context=9000),
            able("?", C.CHAT, context=None),
        ],
        (f"{BUT} context of the model 'bare' is 1000 tokens. Shorten it, or use the model 'longer', which has 9000."),
    ),
    "others that have cannot do it": (
        "bare",
        [BARE, able("vectors", C.EMBEDDING, context=9000), able("no longer", C.CHAT, context=2000)],
        (f"{BUT} context of the model 'bare' is 1000 tokens. Shorten it; no other model has room for it."),
    ),
    "its nodes differ": (
        "bare",
        [BARE, able("bare", C.CHAT, context=1500)],
        (f"{BUT} context of the model 'bare' is 1500 tokens. Shorten it; no other model has room for it."),
    ),
    "auto": (
        None,
        [BARE, able("long", C.CHAT, context=2000), able("vectors", C.EMBEDDING, context=9000)],
        f"{BUT} largest context on offer is 2000 tokens. Shorten it.",
    ),
}


@pytest.mark.parametrize(("model", "models", "message"), TOO_LONG.values(), ids=TOO_LONG.keys())
def test_a_prompt_that_is_too_long_is_told_with_what_has_room(model, models, message):
    for path, param in {CHAT: "messages", **PROMPT}.items():
        needs = evolve(asks(model, C.CHAT, path=path), prompt_tokens=2000)
        error = wrong(needs, *models)
        assert isinstance(error, ContextLengthExceeded)
        assert (error.message, error.param) == (message, param)


def test_what_filters_take_away_is_still_not_available():
    for filters, param in (
        (Filters(capabilities=frozenset({C.REASONING})), "route.capabilities"),
        (Filters(models=frozenset({"bare"})), "route.models"),
    ):
        with pytest.raises(ModelNotAvailable) as error:
            rank(asks(None, C.CHAT, C.TOOLS, filters=filters), BARE, *TOOLS)
        assert error.value.param == param


def test_there_are_words_for_every_capability():
    assert set(CAPABILITY_IN_WORDS) == set(C)
    assert set(ASKED_BY).isdisjoint(ENDPOINTS)


def test_the_cheapest_is_that_of_an_ordinary_answer():
    slow, short, dear = Price(per_minute=30_000), Price(per_request=10_499), Price(per_mtok_completion=27_000_000)
    # 21 seconds, 1,000 tokens of prompt and 400 of answer.
    assert [expected_msat(each, ORDINARY, None, None) for each in (slow, short, dear)] == [10_500, 10_499, 10_800]
    assert cheapest([slow, short, dear]) == short
    assert cheapest([dear, slow]) == slow
    assert cheapest([]) is None
    one, other = Price(per_minute=20_000), Price(per_request=7_000)
    assert cheapest([one, other]) == cheapest([other, one]) == other
