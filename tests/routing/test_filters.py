"""Each filter by itself: what it lets pass, what it says when nothing is left; and what the documents say of it."""

import re
from pathlib import Path

import pytest
from attrs import evolve, fields

from lightphon_core import Backend, Capability, Filters, Focus, Load, Model, Needs, Node, Offer, Price
from lightphon_core.errors import InvalidRequest, ModelNotAvailable, NoNodesAvailable
from lightphon_core.routing import filters, presets, refusals
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.filters import CONDITIONS, FILTERS
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.router import Router, Weighted
from lightphon_core.routing.scorers.plugin import SCORERS
from lightphon_core.settings import RoutingSettings
from lightphon_core.types import PriceInForce, PriceSource, Sort

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"
CHAT = frozenset({Capability.CHAT})
NEEDS = Needs("/v1/chat/completions", None, CHAT, prompt_tokens=10)
KNOWN = Model("qwen/q", CHAT, 8192, maker="Qwen", params_b=7.0, quantization="Q4_K_M", owned_by="OpenClaw")
OTHER = Model("meta/l", CHAT, 32768, maker="meta", params_b=32.0, quantization="Q8_0", owned_by="house")
SILENT = Model("mystery", CHAT)


class Shelf(Backend):
    name = "shelf"

    def __init__(self, *models: Model, slots: int = 2, prices=()) -> None:
        prices = [*prices, *[None] * len(models)]
        self.stock = [
            Offer(str(i), each, Node(f"node-{i}", f"Box{i}"), slots, prices[i]) for i, each in enumerate(models)
        ]

    def offers(self):
        return self.stock

    def serve(self, job):
        raise AssertionError("nothing is served here")

    def router(self, **more) -> Router:
        def price(offer):
            return PriceInForce(offer.price or Price(), PriceSource.NODE)

        return Router(
            Catalogue([self], lambda: 0.0),
            [Weighted(each, 1.0) for each in SCORERS],
            Observations(lambda: 0.0),
            price,
            **more,
        )


def words(*each: str) -> frozenset[str]:
    return frozenset(each)


PASSES = [
    ("providers", words("qwen"), [KNOWN]),
    ("providers", words("meta", "qwen"), [KNOWN, OTHER]),
    ("models", words("mystery", "meta/l"), [OTHER, SILENT]),
    ("owned_by", words("openclaw"), [KNOWN]),
    ("owned_by", words("lightphon"), [SILENT]),
    ("exclude", words("qwen"), [OTHER, SILENT]),
    ("exclude", words("mystery"), [KNOWN, OTHER]),
    ("exclude", words("node-0", "box1"), [SILENT]),
    ("exclude", words("Box2"), [KNOWN, OTHER]),
    ("quantizations", words("q4_k_m"), [KNOWN]),
    ("min_params_b", 7.0, [KNOWN, OTHER]),
    ("min_params_b", 7.1, [OTHER]),
    ("max_params_b", 32.0, [KNOWN, OTHER]),
    ("max_params_b", 31.9, [KNOWN]),
    ("min_context", 32768, [OTHER]),
    ("min_context", 8192, [KNOWN, OTHER]),
]


@pytest.mark.parametrize(("field", "value", "passing"), PASSES)
def test_a_filter_lets_pass_what_states_that_it_fits(field, value, passing):
    ranking = Shelf(KNOWN, OTHER, SILENT).router().rank(evolve(NEEDS, filters=Filters(**{field: value})))
    assert {each.entry.offer.model for each in ranking.candidates} == set(passing)
    assert ranking.excluded == {field: 3 - len(passing)} or len(passing) == 3


def test_every_filter_is_tried():
    assert {field for field, *_ in PASSES} == set(FILTERS) == set(refusals.WORDS)


REFUSED = [
    (
        Filters(min_params_b=70.0),
        "route.min_params_b",
        "No model on offer has 70 or more thousand million parameters (min_params_b); the largest has 32.",
    ),
    (
        Filters(max_params_b=0.5),
        "route.max_params_b",
        "No model on offer has 0.5 or fewer thousand million parameters (max_params_b); the smallest has 7.",
    ),
    (
        Filters(models=words("mystery"), min_params_b=1.0),
        "route.min_params_b",
        (
            "None of the models that would do otherwise has 1 or more thousand million parameters (min_params_b); "
            "none says how many it has."
        ),
    ),
    (
        Filters(min_context=40_000),
        "route.min_context",
        "No model on offer has a context of 40000 or more tokens (min_context); the largest has 32768.",
    ),
    (
        Filters(providers=words("google")),
        "route.providers",
        "No model on offer was made by google (providers); there is Qwen, meta.",
    ),
    (
        Filters(models=words("a", "b")),
        "route.models",
        "No model on offer is a, b (models); there is meta/l, mystery, qwen/q.",
    ),
    (
        Filters(owned_by=words("nobody")),
        "route.owned_by",
        "No model on offer is owned by nobody (owned_by); there is OpenClaw, house, lightphon.",
    ),
    (
        Filters(quantizations=words("f16")),
        "route.quantizations",
        "No model on offer is quantized to f16 (quantizations); there is Q4_K_M, Q8_0.",
    ),
    (
        Filters(exclude=words("qwen", "meta", "mystery")),
        "route.exclude",
        "All that would do otherwise is left out by the request itself (exclude).",
    ),
    (
        Filters(exclude=words("qwen", "meta", "node-2")),
        "route.exclude",
        "All that would do otherwise is left out by the request itself (exclude).",
    ),
    (
        Filters(capabilities=frozenset({Capability.CODE})),
        "route.capabilities",
        "No model on offer that would do otherwise says that it can do code (capabilities).",
    ),
    (
        Filters(max_price_msat=999),
        "route.max_price",
        (
            "Nothing that would do is expected to cost at most 0.999 sats for this answer (max_price); the cheapest is "
            "expected to cost 1 sats."
        ),
    ),
]


@pytest.mark.parametrize(("asked", "param", "message"), REFUSED)
def test_what_nothing_satisfies_says_which_condition_and_what_would_be_possible(asked, param, message):
    priced = [Price(per_request=2000), Price(per_request=1000), Price(per_request=3000)]
    router = Shelf(KNOWN, OTHER, SILENT, prices=priced).router()
    needs = evolve(NEEDS, filters=asked)
    with pytest.raises(ModelNotAvailable) as error:
        router.rank(needs)
    assert (error.value.param, error.value.message, error.value.code) == (param, message, "model_not_available")
    considered = router.consider(needs)
    assert not considered.candidates
    assert list(considered.excluded)[-1] == param.removeprefix("route.")


def test_a_named_model_is_named_in_its_error():
    with pytest.raises(
        ModelNotAvailable, match=r"^No offer of the model 'qwen/q' has 8 or more .*; the largest has 7\.$"
    ):
        Shelf(KNOWN, OTHER).router().rank(evolve(NEEDS, model="qwen/q", filters=Filters(min_params_b=8.0)))


def test_what_the_request_itself_needs_is_still_a_wrong_request():
    asked = evolve(NEEDS, model="qwen/q", capabilities=CHAT | {Capability.TOOLS}, filters=Filters(min_params_b=80.0))
    with pytest.raises(InvalidRequest, match="'qwen/q' cannot do tools"):
        Shelf(KNOWN).router().rank(asked)


def test_free_is_hard_and_prices_in_force_decide():
    router = Shelf(KNOWN, OTHER, prices=[Price(per_minute=1)]).router()
    free = evolve(NEEDS, focus=Focus.FREE)
    ranking = router.rank(free)
    assert [each.entry.offer.model for each in ranking.candidates] == [OTHER]
    assert ranking.excluded == {"free": 1}
    with pytest.raises(ModelNotAvailable, match="free"):
        Shelf(KNOWN, prices=[Price(per_minute=1)]).router().rank(free)
    after = router.rank(evolve(free, fallbacks=("qwen/q",)))
    assert [each.entry.offer.model for each in after.candidates] == [OTHER, KNOWN]


def test_what_fails_is_given_a_rest():
    shelf = Shelf(KNOWN, OTHER)
    ranking = shelf.router(allows=lambda key: key != ("shelf", "0")).rank(NEEDS)
    assert [each.entry.offer.model for each in ranking.candidates] == [OTHER]
    assert ranking.excluded == {"failing": 1}
    with pytest.raises(NoNodesAvailable, match="failed lately") as error:
        shelf.router(allows=lambda _: False).rank(NEEDS)
    assert error.value.retry_after > 0


def test_the_limit_is_how_many_candidates_there_are():
    ranking = Shelf(KNOWN, OTHER, SILENT).router().rank(evolve(NEEDS, filters=Filters(limit=2)))
    assert len(ranking.candidates) == 2
    assert ranking.excluded == {}


def test_several_choices_need_as_many_free_slots():
    router = Shelf(KNOWN, OTHER, slots=3).router(load=lambda entry: Load(busy=2 if entry.offer.id == "0" else 0))
    order = [each.entry.offer.id for each in router.rank(evolve(NEEDS, choices=2, model=None)).candidates]
    assert order == ["1", "0"]
    with pytest.raises(InvalidRequest, match="'n' must be at most 3"):
        router.rank(evolve(NEEDS, choices=4))


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading of the page, but for its head."""
    table = PAGE.read_text("utf-8").partition(f"## {heading}")[2].partition("\n|")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_page_lists_every_filter_and_every_condition():
    wire = {each.name.removesuffix("_msat") for each in fields(Filters)}
    assert {name for row in rows("Filters") for name in names(row[0])} == wire
    assert [name for row in rows("What is left out") for name in names(row[0])] == list(CONDITIONS)
    assert set(FILTERS) < set(CONDITIONS)
    assert filters.EXCLUDE in FILTERS


def test_the_page_lists_every_scorer_with_its_weight_and_every_preset():
    listed = {names(row[0])[0]: float(row[1]) for row in rows("Scorers")}
    assert listed == dict(presets.DEFAULT_WEIGHTS) == {each.name: listed[each.name] for each in SCORERS}
    help_ = fields(RoutingSettings).weights.metadata["help"]
    assert "availability counts 2, affinity 3 and any other 1" in help_
    assert {name: weight for name, weight in listed.items() if weight != 1} == {"availability": 2, "affinity": 3}
    shifts = {name: row[1] for row in rows("Presets") for name in names(row[0])}
    made = {f"auto:{focus}": factors for focus, factors in presets.FOCUS.items()}
    made |= {f"sort: {sort}": factors for sort, factors in presets.SORT.items() if sort is not Sort.BEST}
    made |= {"prefer_size": presets.PREFER_SIZE}
    assert shifts.keys() == made.keys()
    for name, factors in made.items():
        for scorer, factor in factors.items():
            assert f"`{scorer}` x {factor:g}" in shifts[name], name


def test_a_models_maker_owns_it_where_nobody_else_is_said_to():
    made = Model("qwen/r", CHAT, maker="qwen")
    ranking = Shelf(made, KNOWN).router().rank(evolve(NEEDS, filters=Filters(owned_by=words("qwen"))))
    assert [each.entry.offer.model for each in ranking.candidates] == [made]
