"""What a deposit is of: sats, or a price and what it buys. No I/O here."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from attrs import frozen

from lightphon_core.errors import InvalidRequest, RateUnavailable
from lightphon_core.money import euros, sats
from lightphon_core.ports import PaymentProvider
from lightphon_core.rates.quotes import CURRENCY, Quote
from lightphon_core.settings import DepositSettings
from lightphon_core.types import Fiat

Quotes = Callable[[Fiat], Quote]
"""What is credited for a price, now. Raises `RateUnavailable`."""


@frozen
class Terms:
    """`amount` msat are credited; for `price`, at `rate` for a bitcoin, where the provider has a currency."""

    amount: int
    price: Fiat | None = None
    rate: Decimal | None = None


def no_rate(price: Fiat) -> Quote:
    """The `Quotes` of who knows no rate."""
    raise RateUnavailable(f"This server knows no rate of {price.currency}.")


def terms_of(provider: PaymentProvider, asked: int | Fiat, settings: DepositSettings, quote: Quotes) -> Terms:
    """What is locked for a deposit of `asked`, msat or a price, at a provider.

    Raises:
        InvalidRequest: the provider is paid in something else, or the operator takes no such amount.
        RateUnavailable: as `quote`.
    """
    if isinstance(asked, Fiat):
        _check_price(provider, asked, settings)
        quoted = quote(asked)
        return Terms(quoted.amount, asked, quoted.rate)
    if provider.currency is not None:
        raise InvalidRequest(
            f"The provider {provider.name!r} is paid in {provider.currency}: send amount_eur.", param="amount_sats"
        )
    if not settings.least <= asked <= settings.most:
        raise InvalidRequest(
            f"A deposit is from {sats(settings.least)} to {sats(settings.most)} sats here, not {sats(asked)}.",
            param="amount_sats",
        )
    return Terms(asked)


def _check_price(provider: PaymentProvider, price: Fiat, settings: DepositSettings) -> None:
    if provider.currency != price.currency:
        raise InvalidRequest(
            f"The provider {provider.name!r} is not paid in {price.currency}: send amount_sats.", param="amount_eur"
        )
    if price.currency == CURRENCY and not settings.least_eur <= price.cents <= settings.most_eur:
        bounds = f"{euros(settings.least_eur)} to {euros(settings.most_eur)}"
        raise InvalidRequest(f"A deposit is from {bounds} EUR here, not {euros(price.cents)}.", param="amount_eur")
