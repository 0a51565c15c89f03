"""The form of filters: what an address says becomes what the router is asked."""

import pytest

from lightphon_core.openai.route import filters_of
from lightphon_core.types import Capability, Filters, Model, Node, Offer, Size, Sort
from lightphon_core.web.pages.frame.prices import in_words
from lightphon_core.web.pages.router.form import choices, read_form

WHOLE = [
    ("use", "some/model"),
    ("providers", "qwen"),
    ("providers", "meta"),
    ("capabilities", "code"),
    ("owned_by", "OpenClaw"),
    ("exclude", "cellar, a/b ,, cellar"),
    ("models", ""),
    ("quantizations", "Q4_K_M"),
    ("min_params_b", "7"),
    ("max_params_b", "70.5"),
    ("min_context", "8192"),
    ("max_price", "0.5"),
    ("prefer_size", "large"),
    ("sort", "price"),
    ("prompt_tokens", "800"),
    ("max_tokens", ""),
]


def test_every_filter():
    form = read_form(WHOLE)
    assert form.error is None
    assert filters_of(form.query) == Filters(
        providers=frozenset({"qwen", "meta"}),
        models=None,
        owned_by=frozenset({"openclaw"}),
        exclude=frozenset({"cellar", "a/b"}),
        capabilities=frozenset({Capability.CODE}),
        quantizations=frozenset({"q4_k_m"}),
        min_params_b=7,
        max_params_b=70.5,
        min_context=8192,
        max_price_msat=500,
        prefer_size=Size.LARGE,
        sort=Sort.PRICE,
    )
    assert (form.query.prompt_tokens, form.query.max_tokens) == (800, None)
    assert form.route == {
        "providers": ["meta", "qwen"],
        "capabilities": ["code"],
        "owned_by": ["openclaw"],
        "exclude": ["a/b", "cellar"],
        "quantizations": ["q4_k_m"],
        "min_params_b": 7,
        "max_params_b": 70.5,
        "min_context": 8192,
        "max_price": "0.5",
        "prefer_size": "large",
        "sort": "price",
    }


def test_an_address_without_filters_asks_for_nothing():
    form = read_form([("use", "x"), ("unknown", "1"), ("sort", " "), ("exclude", " , "), ("prompt_tokens", "5")])
    assert filters_of(form.query) == Filters()
    assert form.route == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_params_b", "-1"),
        ("min_params_b", "nan"),
        ("max_params_b", "much"),
        ("min_context", "1.5"),
        ("min_context", "9" * 400),
        ("max_price", "0.0001"),
        ("max_price", "1e999999"),
        ("sort", "colour"),
        ("prefer_size", "huge"),
        ("capabilities", "fly"),
        ("exclude", "x" * 300),
        ("prompt_tokens", "-3"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(name, value):
    form = read_form([(name, value), ("providers", "qwen")])
    assert form.error is not None
    assert form.error.param.removesuffix("[...]").startswith(name)
    assert value not in form.error.message
    assert form.route == {}
    assert form.lists["providers"] == ["qwen"], "what was filled in stays"


def test_sizes_that_leave_nothing():
    form = read_form([("min_params_b", "9"), ("max_params_b", "1")])
    assert form.error.param == "min_params_b"


def test_what_there_is_to_tick():
    plain = Offer("1", Model("q", maker="Qwen"), Node("n1", "cellar"))
    claw = Offer("2", Model("c", owned_by="OpenClaw"), Node("n2", "Claw", gateway="openclaw"))
    there = choices([plain, claw], read_form([("providers", "acme"), ("owned_by", "openclaw"), ("owned_by", "others")]))
    assert there.makers == ["acme", "qwen"]
    assert "qwen" not in there.other_makers
    assert "meta" in there.other_makers
    assert there.owners == ["OpenClaw", "others"]
    assert there.gateways == ["Claw"]


class Amounts:
    def __init__(self, minute=0, prompt=0, completion=0, request=0):
        self.per_minute, self.per_mtok_prompt = minute, prompt
        self.per_mtok_completion, self.per_request = completion, request


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (Amounts(), ["free"]),
        (Amounts(minute=5000), ["5 sats per minute"]),
        (Amounts(prompt=250_000, completion=250_000), ["0.25 sats per 1,000 tokens"]),
        (
            Amounts(prompt=1, completion=20_000_000, request=1500),
            [
                "0.000001 sats per 1,000 tokens of prompt",
                "20 sats per 1,000 tokens of answer",
                "1.5 sats per request",
            ],
        ),
    ],
)
def test_prices_in_words(price, words):
    assert in_words(price) == words
