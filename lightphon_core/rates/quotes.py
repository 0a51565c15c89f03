"""Between euros and millisatoshi, at a rate: euros for a bitcoin, to the cent. Pure, and exact but where it says so."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from attrs import frozen

from lightphon_core.errors import RateUnavailable
from lightphon_core.money import BASIS_POINTS, MAX_MSAT
from lightphon_core.types import Fiat

CURRENCY = "EUR"
"""The only one whose rate is known."""
MSAT_PER_BITCOIN = 10**11

_CENT = Decimal("0.01")


@frozen
class Quote:
    """`amount` millisatoshi for a price, at `rate` for a bitcoin, the operator's spread included."""

    amount: int
    rate: Decimal


def with_spread(rate: Decimal, spread_bps: int) -> Decimal:
    """The rate that people pay: so many basis points above `rate`, and rounded up to a cent."""
    return (rate * (BASIS_POINTS + spread_bps) / BASIS_POINTS).quantize(_CENT, ROUND_CEILING)


def quote_at(price: Fiat, rate: Decimal) -> Quote:
    """What `price` buys at `rate`, which is in whole cents: rounded down to a whole millisatoshi.

    Raises `RateUnavailable` for another currency, and where that is nothing, or more than there can be.
    """
    if price.currency != CURRENCY:
        raise RateUnavailable(f"This server knows no rate of {price.currency}.")
    amount = price.cents * MSAT_PER_BITCOIN // _cents(rate)
    if not 0 < amount <= MAX_MSAT:
        raise RateUnavailable("At the present rate, so much cannot be credited.")
    return Quote(amount, rate)


def worth(amount: int, rate: Decimal) -> int:
    """What so many millisatoshi are worth, in cents, rounded down."""
    return amount * _cents(rate) // MSAT_PER_BITCOIN


def _cents(rate: Decimal) -> int:
    return int(rate * 100)
