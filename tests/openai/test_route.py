"""Filters on the wire: what they mean, and what is said of those that mean nothing."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.route import MAX_WORDS, Route, parse_route, route_of
from lightphon_core.types import Capability, Filters, Size, Sort

words = st.frozensets(st.text(min_size=1, max_size=20), min_size=1, max_size=5)
lower = st.frozensets(st.text("abc-019_.", min_size=1, max_size=20), min_size=1, max_size=5)


def read(**route: Any) -> Filters:
    return parse_route(json.dumps(route).encode())


def refusal(raw: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_route(raw)
    return caught.value


def test_every_filter() -> None:
    assert read(
        providers=["Meta", "qwen"],
        models="Qwen/Qwen3-8B",
        owned_by="OpenClaw",
        exclude=["Owner/M", "node-1"],
        capabilities=["CODE", "reasoning"],
        quantizations=["Q4_K_M", "fp8"],
        min_params_b=7,
        max_params_b=72.5,
        min_context=32_000,
        max_price="0.5",
        prefer_size="Balanced",
        sort="price",
        limit=5,
    ) == Filters(
        providers=frozenset({"meta", "qwen"}),
        models=frozenset({"Qwen/Qwen3-8B"}),
        owned_by=frozenset({"openclaw"}),
        exclude=frozenset({"Owner/M", "node-1"}),
        capabilities=frozenset({Capability.CODE, Capability.REASONING}),
        quantizations=frozenset({"q4_k_m", "fp8"}),
        min_params_b=7.0,
        max_params_b=72.5,
        min_context=32_000,
        max_price_msat=500,
        prefer_size=Size.BALANCED,
        sort=Sort.PRICE,
        limit=5,
    )
    assert read() == read(**dict.fromkeys(Route.__struct_fields__)) == Filters()


@pytest.mark.parametrize(
    ("price", "msat"),
    [
        (b"0", 0),
        (b"0.001", 1),
        (b"0.1", 100),
        (b"1.5000", 1500),
        (b"1e3", 1_000_000),
        (b"4503599627.370", None),
        (b"123456789.123", 123_456_789_123),  # a float of this many sats has no place left for the last one
        (b'"0.3"', 300),
        (b"0.0001", None),
        (b"0.30000000000000000000000000000000001", None),
        (b"-1", None),
        (b"1e999999999", None),
        (b"1e-999999999", None),
        (b'"nan"', None),
        (b'"-Infinity"', None),
        (b'"1 sat"', None),
        (b"true", None),
        (b"[1]", None),
    ],
)
def test_prices_are_exact(price: bytes, msat: int | None) -> None:
    raw = b'{"max_price":' + price + b"}"
    if msat is None:
        assert refusal(raw).param == "route.max_price"
    else:
        assert parse_route(raw).max_price_msat == msat


@pytest.mark.parametrize(
    ("raw", "param", "says"),
    [
        (b'{"prefer_size":"s3cret"}', "prefer_size", "one of: small, balanced, large."),
        (b'{"sort":"s3cret"}', "sort", "one of: best, price, throughput, latency."),
        (b'{"capabilities":["code","s3cret"]}', "capabilities", "one of: chat, completion, embedding, tools,"),
        (b'{"min_param_b":7}', "min_param_b", "Did you mean 'min_params_b'? There are: providers, models, owned_by,"),
        (b'{"zzz":7}', "zzz", "There are: providers,"),
        (b'{"providers":[]}', "providers", "length >= 1"),
        (b'{"providers":[""]}', "providers", "length >= 1"),
        (b'{"providers":[3]}', "providers", "Expected a string"),
        (b'{"providers":3}', "providers", "Expected a string or an array or null, got an integer"),
        (b'{"models":["' + b"m" * 201 + b'"]}', "models", "length <= 200"),
        (json.dumps({"exclude": ["x"] * (MAX_WORDS + 1)}).encode(), "exclude", "length <= 64"),
        (b'{"min_params_b":0}', "min_params_b", "> 0"),
        (b'{"max_params_b":1e6}', "max_params_b", "<= 100000"),
        (b'{"min_params_b":8,"max_params_b":7}', "min_params_b", "must not be above 'route.max_params_b'"),
        (b'{"min_context":0}', "min_context", ">= 1"),
        (b'{"min_context":1.5}', "min_context", "an integer"),
        (b'{"limit":101}', "limit", "<= 100"),
        (b'{"max_price":1.0001}', "max_price", "no finer than 0.001"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, param: str, says: str) -> None:
    error = refusal(raw)
    assert error.param is not None
    assert error.param.removesuffix("[0]") == f"route.{param}"
    assert says in error.message
    assert "s3cret" not in error.message


@pytest.mark.parametrize("raw", [b"", b"[]", b"3", b'{"limit":1,"limit":2}'])
def test_what_is_no_object(raw: bytes) -> None:
    refusal(raw)


@given(
    st.builds(
        Filters,
        providers=st.none() | lower,
        models=st.none() | words,
        capabilities=st.none() | st.frozensets(st.sampled_from(Capability), min_size=1),
        quantizations=st.none() | lower,
        min_params_b=st.none() | st.floats(0.001, 100),
        max_params_b=st.none() | st.floats(100, 1000),
        max_price_msat=st.none() | st.integers(0, 10**12),
        sort=st.none() | st.sampled_from(Sort),
        limit=st.none() | st.integers(1, 100),
    )
)
def test_what_is_shown_asks_for_the_same(filters: Filters) -> None:
    shown = route_of(filters)
    assert (shown is None) == (filters == Filters())
    if shown is not None:
        assert parse_route(msgspec.json.encode(shown)) == filters


def test_only_what_is_asked_for_is_shown() -> None:
    assert msgspec.json.encode(route_of(Filters(max_price_msat=1500))) == b'{"max_price":"1.5"}'
    assert route_of(Filters(max_price_msat=0)) == Route(max_price=Decimal(0))
