"""Amounts: whole, bounded, exact; and what an answer costs, as settings and nodes price it."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.errors import SettingsError
from lightphon_core.ledger.commands import Capture, ExtendHold, Posting, TakeHold
from lightphon_core.ledger.pricing import effective_price, house_share
from lightphon_core.money import MAX_CENTS, MAX_MSAT, MoneyError, euros, msat, parse_euros, parse_sats, sats
from lightphon_core.settings import load
from lightphon_core.types import Model, Node, Offer, Price

NO_AMOUNTS = [
    True,
    False,
    1.0,
    0.5,
    math.nan,
    math.inf,
    "1",
    b"1",
    None,
    Decimal(1),
    Fraction(1),
    -1,
    MAX_MSAT + 1,
    2**63,
]


class Int(int):
    """An int that is not quite one."""


@pytest.mark.parametrize("value", [*NO_AMOUNTS, Int(1)], ids=repr)
def test_what_is_no_amount_gets_in_nowhere(value):
    for make in (
        msat,
        lambda value: Price(per_request=value),
        lambda value: Posting("a", "b", value),
        lambda value: Capture("h", value),
        lambda value: ExtendHold("h", value, 0, 1),
        lambda value: ExtendHold("h", 0, value, 1),
        lambda value: ExtendHold("h", 0, 0, value),
        lambda value: TakeHold("h", "a", value, 0, None, 0, 1),
        lambda value: TakeHold("h", "a", 1, value, None, 0, 1),
        lambda value: TakeHold("h", "a", 1, 0, None, value, 1),
        lambda value: TakeHold("h", "a", 1, 0, None, 0, value),
    ):
        with pytest.raises(MoneyError):
            make(value)


@given(st.integers(0, MAX_CENTS))
def test_euros_as_people_write_them(cents):
    assert parse_euros(euros(cents)) == cents
    assert Fraction(euros(cents)) * 100 == cents
    assert euros(-cents) == ("-" if cents else "") + euros(cents)


@pytest.mark.parametrize(
    "text", ["", "-1", "1.", ".5", "1.505", "1,50", "1e2", " 1", "1_0", "٣", "1000000000.01", "9" * 99]
)
def test_what_is_no_amount_of_euros(text):
    with pytest.raises(MoneyError):
        parse_euros(text)


def test_postings_move_something_somewhere():
    for debit, credit, amount in (("a", "b", 0), ("a", "a", 1)):
        with pytest.raises(MoneyError):
            Posting(debit, credit, amount)
    with pytest.raises(MoneyError):
        TakeHold("h", "a", 1, 0, None, 10_001, 1)  # more than all of it
    assert msat(0) == 0
    assert msat(MAX_MSAT) == MAX_MSAT


@given(st.integers(0, MAX_MSAT))
def test_sats_are_written_and_read_without_loss(amount):
    assert parse_sats(sats(amount)) == amount
    assert Fraction(sats(amount)) * 1000 == amount
    assert sats(-amount) == ("0" if not amount else f"-{sats(amount)}")


@given(st.text() | st.from_regex(r"[+-]?[0-9_]{0,25}(\.[0-9]{0,6})?([eE][+-]?[0-9]{0,10})?", fullmatch=True))
def test_whatever_text_is_read_as_sats_is_exactly_that(text):
    try:
        amount = parse_sats(text)
    except MoneyError:
        return
    assert Fraction(text) * 1000 == amount
    assert 0 <= amount <= MAX_MSAT


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", "1_000", " 1", "1.", ".5", "0.0001", "nan", "inf", "1e999999999", "١", "9" * 5000]
)
def test_no_sats(text):
    with pytest.raises(MoneyError):
        parse_sats(text)


AMOUNTS = st.integers(0, 10**12)
PRICES = st.builds(Price, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
TOKENS = st.integers(0, 10**7)
MS = st.integers(0, 10**7)


@given(PRICES, TOKENS, TOKENS, MS)
def test_the_cost_is_one_ceil_over_the_exact_total(price, prompt, completion, ms):
    exact = (
        price.per_request
        + Fraction(price.per_minute * ms, 60_000)
        + Fraction(price.per_mtok_prompt * prompt + price.per_mtok_completion * completion, 1_000_000)
    )
    assert price.cost(prompt_tokens=prompt, completion_tokens=completion, ms=ms) == math.ceil(exact)


@given(PRICES, TOKENS, TOKENS, MS, st.sampled_from(["prompt_tokens", "completion_tokens", "ms"]), st.integers(1, 1000))
def test_more_never_costs_less(price, prompt, completion, ms, which, more):
    work = {"prompt_tokens": prompt, "completion_tokens": completion, "ms": ms}
    assert price.cost(**work) <= price.cost(**{**work, which: work[which] + more})


@given(PRICES, TOKENS, MS, st.integers(0, 10**16))
def test_affordable_tokens_are_the_most_that_the_funds_cover(price, prompt, ms, funds):
    tokens = price.affordable_tokens(funds, prompt_tokens=prompt, ms=ms)

    def costs(tokens):
        return price.cost(prompt_tokens=prompt, completion_tokens=tokens, ms=ms)

    if tokens is None:
        assert price.per_mtok_completion == 0
        assert costs(10**9) <= funds
    elif tokens < 0:
        assert costs(0) > funds
    else:
        assert costs(tokens) <= funds < costs(tokens + 1)


@given(AMOUNTS, AMOUNTS, st.integers(0, 10_000))
def test_the_house_never_gets_more_than_its_share(one, other, basis_points):
    share = house_share(one, basis_points)
    assert share == math.floor(Fraction(one * basis_points, 10_000))
    assert 0 <= share <= one
    # So what a part of a charge adds to the house's share is never more than that part.
    assert 0 <= house_share(one + other, basis_points) - share <= other


def test_free_is_free():
    assert Price().is_free
    for name in ("per_minute", "per_mtok_prompt", "per_mtok_completion", "per_request"):
        assert not Price(**{name: 1}).is_free
        assert Price(**{name: 1}).cost(prompt_tokens=1, completion_tokens=1, ms=1) == 1


PRICING = """
[pricing]
per_minute = "0.5"
per_mtok_completion = 20
house_bps = 250
[pricing.models."owner/repo"]
per_request = "0.001"
"""


def test_prices_come_from_the_model_the_account_the_node_and_the_defaults(tmp_path):
    config = tmp_path / "lightphon.toml"
    config.write_text(PRICING)
    pricing = load(config, {"LIGHTPHON_PRICING_PER_MTOK_PROMPT": "1.25"}).pricing
    assert pricing.house_bps == 250
    default = Price(per_minute=500, per_mtok_prompt=1_250, per_mtok_completion=20_000)

    def offer(model, price=None):
        return Offer("o", Model(model), Node("n", "n"), price=price)

    asked, agreed = Price(per_request=7), Price(per_request=8)

    def price(offer, agreed=None):
        found = effective_price(pricing, offer, agreed)
        return found.price, found.source

    assert price(offer("other")) == (default, "default")
    assert price(offer("other", asked)) == (asked, "node")
    assert price(offer("other", Price())) == (Price(), "node")  # free on purpose
    assert price(offer("other", asked), agreed) == (agreed, "account")
    assert price(offer("other", asked), Price()) == (Price(), "account")
    # A model's table is its whole price.
    for found in (offer("owner/repo"), offer("owner/repo", asked)):
        assert price(found) == price(found, agreed) == (Price(per_request=1), "operator")
    assert load(None, {}).pricing.price.is_free


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("per_minute = 0.5", 'per_minute must be a whole number or text: write "0.5"'),
        ("per_minute = true", "per_minute must be"),
        ('per_minute = "0.0001"', "per_minute cannot be: "),
        ("per_minute = -1", "per_minute cannot be: "),
        ('per_minute = "nan"', "per_minute cannot be: "),
        ('per_minute = "1e3"', "per_minute cannot be: "),
        ("house_bps = 10001", "house_bps must be <= 10000"),
        ("house_bps = -1", "house_bps must be >= 0"),
        ("models.x.per_request = -1", "models.x.per_request cannot be: "),
        ("models.x.house_bps = 1", "models.x.house_bps is not a setting"),
    ],
)
def test_prices_that_cannot_be(tmp_path, text, message):
    config = tmp_path / "lightphon.toml"
    config.write_text(f"[pricing]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        load(config, {})
    assert f"[pricing] {message}" in caught.value.message


@given(st.decimals(0, 10**9, places=3))
def test_a_price_is_read_to_the_thousandth(amount):
    pricing = load(None, {"LIGHTPHON_PRICING_PER_REQUEST": str(amount)}).pricing
    assert pricing.per_request == int(amount * 1000)
