"""What sources say, what they agree on, and what it buys: rules without I/O."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lightphon_core.errors import RateUnavailable
from lightphon_core.rates.agreement import agree
from lightphon_core.rates.quotes import Quote, quote_at, with_spread, worth
from lightphon_core.rates.sources import SOURCES, Unusable, read_price
from lightphon_core.types import Fiat

NOW = 1_800_000_000.0
PRICES = st.decimals(1, 10**9, places=2)


def named(prices):
    return {f"source{number}": Decimal(price) for number, price in enumerate(prices)}


class TestAgreement:
    @pytest.mark.parametrize(
        ("prices", "rate", "outliers"),
        [
            (["100", "101"], "100.5", set()),
            (["100", "101", "102"], "101", set()),
            (["100", "101", "500"], "101", {"source2"}),
            (["1", "100", "100", "100000"], "100", {"source0", "source3"}),
            (["98", "100", "102"], "100", set()),  # exactly 2 % on either side
            (["97.99", "100", "102.01", "100"], "100", {"source0", "source2"}),
        ],
    )
    def test_the_median_of_those_who_agree(self, prices, rate, outliers):
        found = agree(named(prices))
        assert (found.rate, found.outliers) == (Decimal(rate), outliers)
        assert found.agreed == named(prices).keys() - outliers

    @pytest.mark.parametrize(
        "prices", [[], ["100"], ["100", "110"], ["100", "110", "120"], ["100", "100", "200", "200"]]
    )
    def test_nobody_agrees(self, prices):
        assert agree(named(prices)) is None

    @given(st.lists(PRICES, min_size=3, max_size=9), st.data())
    def test_a_minority_moves_nothing_beyond_what_the_others_say(self, prices, data):
        liars = data.draw(st.integers(0, (len(prices) - 1) // 2))
        honest = prices[liars:]
        found = agree(named(data.draw(st.permutations(prices))))
        assume(found is not None)
        assert min(honest) <= found.rate <= max(honest)

    @given(st.lists(PRICES, min_size=2, max_size=9))
    def test_two_agree_or_there_is_no_rate(self, prices):
        found = agree(named(prices))
        middle = sorted(map(Fraction, prices))
        middle = (middle[(len(prices) - 1) // 2] + middle[len(prices) // 2]) / 2
        near = {name for name, price in named(prices).items() if abs(Fraction(price) - middle) <= middle / 50}
        assert (found is None) == (len(near) < 2)
        if found is not None:
            assert (Fraction(found.rate), found.agreed) == (middle, near)


ANSWERS = {
    "binance": b'{"symbol": "BTCEUR", "price": "57000.12000000"}',
    "bitfinex": b"[56999, 1.5, 57001, 2.5, -120.1, -0.0021, 57000.12, 30.1, 58000, 56000]",
    "bitstamp": b'{"timestamp": "1800000000", "last": "57000.12", "bid": "56999"}',
    "blockchain": b'{"USD": {"last": 1}, "EUR": {"15m": 1, "last": 57000.12, "buy": 2, "symbol": "EUR"}}',
    "coinbase": b'{"data": {"amount": "57000.12", "base": "BTC", "currency": "EUR"}}',
    "coingecko": b'{"bitcoin": {"eur": 57000.12, "last_updated_at": 1799999940}}',
    "kraken": b'{"error": [], "result": {"XXBTZEUR": {"a": ["1", "1", "1"], "c": ["57000.12", "0.01"]}}}',
    "mempool": b'{"time": 1800000000, "USD": 1, "EUR": 57000.12}',
}


class TestSources:
    def test_each_is_read_as_it_is_written(self):
        assert ANSWERS.keys() == SOURCES.keys()
        for name, source in SOURCES.items():
            assert read_price(source, ANSWERS[name], now=NOW) == Decimal("57000.12"), name
            assert source.url.startswith("https://")

    @pytest.mark.parametrize("name", SOURCES)
    @pytest.mark.parametrize(
        "body",
        [b"", b"null", b"[]", b"{}", b'"x"', b"<html>", b"\xff\xfe\xff", b"[" * 30_000, b'{"error": ["EGeneral"]}'],
    )
    def test_garbage_is_no_price(self, name, body):
        with pytest.raises(Unusable, match=r"^its answer "):
            read_price(SOURCES[name], body, now=NOW)

    @pytest.mark.parametrize(
        "price",
        [
            *(
                "0",
                "-57000",
                "0.99",
                "1000000000.01",
                "1e400",
                "1e-400",
                "1e99999999999",
                "NaN",
                "Infinity",
                "-Infinity",
            ),
            *('""', '"NaN"', '"Infinity"', '"-1"', '"1e5"', '"57,000"', '" 57000"', '"57_000"', '"٥٧"', "9" * 5_000),
            *("true", "null", "[57000]", '{"eur": 57000}'),
        ],
    )
    def test_absurd_prices(self, price):
        with pytest.raises(Unusable):
            read_price(SOURCES["mempool"], f'{{"EUR": {price}}}'.encode(), now=NOW)

    @pytest.mark.parametrize(("at", "good"), [(0, True), (-600, True), (60, True), (-601, False), (601, False)])
    def test_prices_of_another_time(self, at, good):
        body = json.dumps({"last": "57000", "timestamp": str(int(NOW) + at)}).encode()
        if good:
            assert read_price(SOURCES["bitstamp"], body, now=NOW) == 57_000
        else:
            with pytest.raises(Unusable, match="old"):
                read_price(SOURCES["bitstamp"], body, now=NOW)

    @pytest.mark.parametrize("at", ["1e999999", "1e-999999", '"now"', "null"])
    def test_times_that_are_none(self, at):
        with pytest.raises(Unusable):
            read_price(
                SOURCES["coingecko"], f'{{"bitcoin": {{"eur": 57000, "last_updated_at": {at}}}}}'.encode(), now=NOW
            )


class TestQuotes:
    @pytest.mark.parametrize(
        ("cents", "rate", "amount"),
        [
            (1250, "50000", 25_000_000),
            (1250, "60000.00", 20_833_333),  # 20,833,333.3 msat
            (1, "60000", 16_666),
            (1, "1000000000", 1),
            (20_000, "57000.13", 350_876_392),  # 350,876,392.7
        ],
    )
    def test_to_the_millisatoshi(self, cents, rate, amount):
        assert quote_at(Fiat("EUR", cents), Decimal(rate)) == Quote(amount, Decimal(rate))

    @given(st.integers(1, 10**7), st.decimals("10.00", 10**7, places=2), st.integers(0, 10_000))
    def test_never_more_than_was_paid_for(self, cents, rate, bps):
        asked = with_spread(rate, bps)
        exact = Fraction(rate) * (10_000 + bps) / 10_000
        assert 0 <= Fraction(asked) - exact < Fraction(1, 100)
        quote = quote_at(Fiat("EUR", cents), asked)
        assert quote.rate == asked
        assert 0 <= Fraction(cents * 10**9) / Fraction(asked) - quote.amount < 1
        assert worth(quote.amount, asked) in (cents, cents - 1)

    @pytest.mark.parametrize("price", [Fiat("USD", 100), Fiat("EUR", 0), Fiat("EUR", -5), Fiat("EUR", 10**20)])
    def test_what_cannot_be_credited(self, price):
        with pytest.raises(RateUnavailable):
            quote_at(price, Decimal(1))
