"""What holds for every ranking, whatever is on offer and whatever is asked; restated here plainly, offer by offer."""

from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    Size,
    Sort,
)
from lightphon_core.errors import LightPhonError
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.filters import CONDITIONS
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.presets import DEFAULT_WEIGHTS
from lightphon_core.routing.router import Ranked, Router, Weighted
from lightphon_core.routing.scorers.plugin import SCORERS
from lightphon_core.routing.shortlist import LENGTH

C = Capability
WEIGHTED = [Weighted(scorer, DEFAULT_WEIGHTS[scorer.name]) for scorer in SCORERS]

few = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def maybe(values):
    return st.none() | values


def some(values):
    return st.frozensets(st.sampled_from(values), min_size=1, max_size=3)


MAKERS, IDS, OWNERS, QUANTS = ["qwen", "Meta", "mistral"], ["a", "b/c", "d"], ["OpenClaw", "house"], ["Q4_K_M", "q8_0"]
MODELS = st.builds(
    Model,
    id=st.sampled_from(IDS),
    capabilities=st.sampled_from([frozenset({C.CHAT}), frozenset({C.CHAT, C.TOOLS}), frozenset({C.EMBEDDING})]),
    context_length=maybe(st.sampled_from([100, 1000, 9000])),
    maker=maybe(st.sampled_from(MAKERS)),
    params_b=maybe(st.sampled_from([0.5, 7.0, 70.0])),
    quantization=maybe(st.sampled_from(QUANTS)),
    owned_by=maybe(st.sampled_from(OWNERS)),
)
PRICES = st.sampled_from(
    [None, Price(), Price(per_minute=600), Price(per_request=50), Price(per_mtok_completion=10**6)]
)
FILTER_VALUES = {
    "providers": some([each.lower() for each in MAKERS]),
    "models": some(IDS),
    "owned_by": some([each.lower() for each in OWNERS]),
    "exclude": some(["qwen", "a", "n-1", "Name-2", "nobody"]),
    "capabilities": st.just(frozenset({C.TOOLS})),
    "quantizations": some([each.lower() for each in QUANTS]),
    "min_params_b": st.sampled_from([1.0, 7.0]),
    "max_params_b": st.sampled_from([7.0, 69.0]),
    "min_context": st.sampled_from([100, 1000]),
    "max_price_msat": st.sampled_from([0, 50, 500]),
    "prefer_size": st.sampled_from(Size),
    "sort": st.sampled_from(Sort),
}
# One or two: where all are asked for at once nothing is left, and that shows little.
FILTERS = (
    st.lists(st.sampled_from(sorted(FILTER_VALUES)), max_size=2, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: FILTER_VALUES[name] for name in names}))
    .map(lambda values: Filters(**values))
)
NEEDS = st.builds(
    Needs,
    path=st.just("/v1/chat/completions"),
    model=st.none() | st.none() | st.sampled_from([*IDS, "never"]),
    capabilities=st.just(frozenset({C.CHAT})),
    prompt_tokens=st.sampled_from([0, 10, 10, 99, 100, 1000, 9000]),
    choices=st.sampled_from([1, 1, 2]),
    fallbacks=st.just(()) | st.lists(maybe(st.sampled_from(IDS)), max_size=2).map(tuple),
    focus=maybe(st.sampled_from(Focus)),
    filters=FILTERS,
    session=maybe(st.just("s")),
    via=st.sampled_from([frozenset(), frozenset(), frozenset({"openclaw"}), frozenset({"openclaw", "other"})]),
)
GATEWAYS = [None, None, "openclaw", "another"]
NOT_IN_AUTO = st.sampled_from([(), (), ("n-1",), ("NAME-2", "nobody"), ("w",)])
"""Nodes by id and by name, and the backend, which is all."""


NODES = st.builds(
    lambda id_, name, gateway: Node(f"n-{id_}", f"Name-{name}", gateway=gateway),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(GATEWAYS),
)


@st.composite
def worlds(draw, most=12):
    number = draw(st.integers(0, most))
    offers = [
        Offer(
            str(i),
            draw(MODELS),
            draw(NODES),
            draw(st.integers(1, 3)),
            draw(PRICES),
        )
        for i in range(number)
    ]
    loads = {
        str(i): Load(busy=draw(st.integers(0, 4)), queued=draw(st.integers(0, 1)))
        for i in range(number)
        if draw(st.booleans())
    }
    failing = {str(i) for i in range(number) if draw(st.integers(0, 9)) == 0}
    seen = Observations(lambda: 0.0)
    for i in range(number):
        for _ in range(draw(st.integers(0, 2))):
            seen.answered(("w", str(i)), ttft_s=draw(st.sampled_from([0.1, 3.0])), tokens=100, seconds=4.0)
    return World(offers, loads, failing, seen, draw(NOT_IN_AUTO))


class World(Backend):
    name = "w"

    def __init__(self, offers, loads: Mapping[str, Load], failing, seen, not_in_auto=()) -> None:
        self.stock, self.loads, self.failing, self.seen = offers, loads, failing, seen
        self.not_in_auto = not_in_auto

    def offers(self):
        return list(self.stock)

    def load(self):
        return self.loads

    def serve(self, job):
        raise AssertionError("nothing is served here")

    def router(self, price_of=None) -> Router:
        return Router(
            Catalogue([self], lambda: 0.0),
            WEIGHTED,
            self.seen,
            price_of or price,
            allows=lambda key: key[1] not in self.failing,
            holder=lambda _: ("w", "0"),
            not_in_auto=self.not_in_auto,
        )

    def will_do(self, offer: Offer, needs: Needs, allowed) -> bool:
        """Whether the offer may serve the request: once more, in other words."""
        return any(self._will_do(offer, needs, allowed, named) for named in (needs.model, *needs.fallbacks))

    def _will_do(self, offer, needs, allowed, named) -> bool:
        model, node, f = offer.model, offer.node, needs.filters
        auto_free = needs.focus is Focus.FREE and named is None and needs.model is None
        priced = price(offer).price
        seen = self.seen.of(("w", offer.id))
        seconds = (1.0 if seen.ttft_s is None else seen.ttft_s) + 400 / (
            20.0 if seen.tokens_per_s is None else seen.tokens_per_s
        )
        expected = priced.cost(
            prompt_tokens=4 * needs.prompt_tokens,
            completion_tokens=400 * needs.choices,
            ms=round(seconds * 1000),
        )
        return (
            named in (None, model.id)
            and (allowed is None or model.id in allowed)
            and not (node.gateway is not None and node.gateway in needs.via)
            and not (named is None and {"w", node.id, node.name.lower()} & set(map(str.lower, self.not_in_auto)))
            and needs.capabilities | (f.capabilities or set()) <= model.capabilities
            and not (model.context_length is not None and model.context_length <= needs.prompt_tokens)
            and not (auto_free and priced != Price())
            and (f.providers is None or str(model.maker).lower() in f.providers)
            and (f.models is None or model.id in f.models)
            and (f.owned_by is None or str(model.owned_by).lower() in f.owned_by)
            and (f.quantizations is None or str(model.quantization).lower() in f.quantizations)
            and (f.min_params_b is None or (model.params_b or -1) >= f.min_params_b)
            and (f.max_params_b is None or (model.params_b or 1e9) <= f.max_params_b)
            and (f.min_context is None or (model.context_length or -1) >= f.min_context)
            and not {model.id, str(model.maker).lower(), node.id, node.name} & (f.exclude or set())
            and (f.max_price_msat is None or expected <= f.max_price_msat)
            and needs.choices <= offer.slots
            and offer.id not in self.failing
        )


def price(offer: Offer) -> PriceInForce:
    return PriceInForce(offer.price or Price(per_minute=100), PriceSource.NODE)


def place(needs: Needs, each: Ranked):
    """By what candidates of one model, or of any, are in order."""
    load, slots = each.stats.load, each.entry.offer.slots
    return load.busy + load.queued + needs.choices > slots, -each.score, load.busy + load.queued, each.entry.key


@few
@given(worlds(), NEEDS, maybe(st.frozensets(st.sampled_from(IDS), max_size=2)))
def test_candidates_are_exactly_the_offers_that_will_do(world, needs, allowed):
    ranking = world.router().consider(needs, allowed=allowed)
    expected = {offer.id for offer in world.stock if world.will_do(offer, needs, allowed)}
    assert {each.entry.offer.id for each in ranking.candidates} == expected
    assert len(ranking.candidates) == len(expected), "nobody is there twice"
    assert sum(ranking.excluded.values()) + len(expected) == len(world.stock)
    assert all(count > 0 for count in ranking.excluded.values())
    assert list(ranking.excluded) == [name for name in CONDITIONS if name in ranking.excluded]


@few
@given(worlds(), NEEDS)
def test_who_came_through_no_gateway_is_ranked_as_if_there_were_none(world, needs):
    needs = evolve(needs, via=frozenset({"nobody has this"}))
    ranking = world.router().consider(needs)
    world.stock = [evolve(each, node=evolve(each.node, gateway=None)) for each in world.stock]
    plain = world.router().consider(evolve(needs, via=frozenset()))
    assert [(each.entry.key, each.score, each.parts) for each in ranking.candidates] == [
        (each.entry.key, each.score, each.parts) for each in plain.candidates
    ]
    assert ranking.excluded == plain.excluded


@few
@given(worlds(), NEEDS)
def test_scores_lie_in_range_and_the_order_is_total_and_stable(world, needs):
    router = world.router()
    candidates = router.consider(needs).candidates
    for each in candidates:
        assert 0 <= each.score <= 1
        assert all(0 <= part <= 1 for part in each.parts.values())
    if not needs.fallbacks:
        places = [place(needs, each) for each in candidates]
        assert places == sorted(places)
        assert len(set(places)) == len(places)
    order = [each.entry.key for each in candidates]
    assert [each.entry.key for each in router.consider(needs).candidates] == order, "asked again"
    world.stock.reverse()
    assert [each.entry.key for each in world.router().consider(needs).candidates] == order, "told in another order"


@few
@given(worlds(), NEEDS)
def test_rank_raises_where_consider_finds_nothing_and_agrees_elsewhere(world, needs):
    router = world.router()
    considered = router.consider(needs)
    if considered.candidates:
        assert router.rank(needs) == considered
    else:
        with pytest.raises(LightPhonError):
            router.rank(needs)


@few
@given(worlds(most=8), NEEDS, st.lists(st.sampled_from(["leave", "join", "price", "ask"]), max_size=12), st.randoms())
def test_an_index_that_was_kept_up_to_date_is_as_good_as_a_new_one(world, needs, events, rng):
    """The index is brought up to date offer by offer, with requests in between that make it remember."""
    prices = {}

    def agreed(offer: Offer) -> PriceInForce:
        return prices.get(offer.id) or price(offer)

    router = world.router(agreed)
    router.consider(needs)
    away: list[Offer] = []
    for event in events:
        if event == "leave" and world.stock:
            away.append(world.stock.pop(rng.randrange(len(world.stock))))
            router.catalogue.invalidate()
        elif event == "join" and away:
            back = away.pop()
            if rng.random() < 0.5:
                back = evolve(back, model=evolve(back.model, context_length=rng.choice([None, 50, 100, 5000])))
            world.stock.append(back)
            router.catalogue.invalidate()
        elif event == "price" and world.stock:
            priced = rng.choice(world.stock)
            prices[priced.id] = PriceInForce(Price(per_request=rng.choice([0, 7])), PriceSource.ACCOUNT)
            router.prices_changed({(priced.node.id, priced.model.id)})
        else:
            router.consider(needs)
    kept = router.consider(needs)
    new = world.router(agreed).consider(needs)
    assert [each.entry.key for each in kept.candidates] == [each.entry.key for each in new.candidates]
    assert kept.excluded == new.excluded


MANY = 6 * LENGTH


@pytest.mark.parametrize("reason", ["busy", "failing", "dear", "excluded", "asked for"])
@given(only=st.integers(0, MANY - 1), groups=st.sampled_from([1, 7, MANY]), times=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_the_short_list_never_loses_the_only_one(reason, only, groups, times):
    """Of several hundred, one will do."""
    chat, dear = frozenset({C.CHAT}), Price(per_request=10**6)
    offers = [
        Offer(
            str(i),
            Model(f"m{i % groups}", chat),
            Node("good" if i == only else "bad", "x"),
            1,
            dear if reason == "dear" and i != only else None,
        )
        for i in range(MANY)
    ]
    failing = {str(i) for i in range(MANY) if reason == "failing" and i != only}
    world = World(offers, {}, failing, Observations(lambda: 0.0))
    needs = Needs("/v1/chat/completions", None, chat)
    router = world.router()
    if reason == "busy":
        # Not a condition: the others are candidates too, and it is found once its slot is heard to be free.
        world.loads = {str(i): Load(busy=1) for i in range(MANY) if i != only}
        router.catalogue.refresh()
        router.freed(("w", str(only)))
    elif reason == "dear":
        needs = evolve(needs, filters=Filters(max_price_msat=10**5))
    elif reason == "excluded":
        needs = evolve(needs, filters=Filters(exclude=frozenset({"bad"})))
    elif reason == "asked for":  # the holder of the session, all else being equal
        router = Router(router.catalogue, WEIGHTED, world.seen, price, holder=lambda _: ("w", str(only)))
        needs = evolve(needs, session="s")
    for _ in range(times):
        assert router.rank(needs).candidates[0].entry.offer.id == str(only)


def test_a_short_list_is_short_and_everybody_gets_a_turn():
    chat = frozenset({C.CHAT})
    offers = [Offer(str(i), Model(f"m{i % 9}", chat), Node("n", "n"), 1) for i in range(MANY)]
    world = World(offers, {}, set(), Observations(lambda: 0.0))
    router, listed = world.router(), set()
    for _ in range(4 * MANY):
        candidates = router.rank(Needs("/v1/chat/completions", None, chat)).candidates
        assert len(candidates) <= LENGTH
        listed |= {each.entry.offer.id for each in candidates}
    assert listed == {offer.id for offer in offers}
