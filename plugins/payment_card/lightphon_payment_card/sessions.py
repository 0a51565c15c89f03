"""Stripe's Checkout sessions: what is asked for, and what is believed of an answer. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lightphon_core import (
    DepositState,
    Fiat,
    Gone,
    InvalidRequest,
    NewDeposit,
    Opened,
    PriceSettled,
    ProviderUnavailable,
    Waiting,
)

CURRENCY = "EUR"
LEAST_CENTS = 50
MOST_CENTS = 99_999_999
"""What Stripe takes for one charge in euros."""
OPEN_S = 30 * 60 + 20
"""How long a page can be paid: the shortest that Stripe takes, and some seconds for the way there. The rate is locked
as long."""
LABEL = "lightphon_deposit"
"""The metadata that names the deposit."""

Row = Mapping[str, Any]
"""An object of Stripe's, its members not looked at yet."""

_DEPOSIT = re.compile(r"dep_[0-9A-Za-z]{1,100}", re.ASCII)


def price_of(deposit: NewDeposit) -> Fiat:
    """What is to be paid. Raises `InvalidRequest` for what no card can pay."""
    price = deposit.price
    if price is None or price.currency != CURRENCY:
        raise InvalidRequest("Deposits by card are in euros: say amount_eur.", param="amount_eur")
    if not LEAST_CENTS <= price.cents <= MOST_CENTS:
        raise InvalidRequest(
            f"A card pays from {_euros(LEAST_CENTS)} to {_euros(MOST_CENTS)} EUR, not {_euros(price.cents)}.",
            param="amount_eur",
        )
    return price


def asked_for(deposit: NewDeposit, *, product: str, return_url: str, now: float) -> dict[str, Any]:
    """The parameters of a new session. Raises `InvalidRequest` as `price_of` does."""
    price = price_of(deposit)
    label = {LABEL: deposit.id}
    return {
        "mode": "payment",
        "payment_method_types": ["card"],
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": CURRENCY.lower(),
                    "unit_amount": price.cents,
                    "product_data": {"name": product},
                },
            }
        ],
        # What is locked is a price in euros: nobody is to be asked for another currency.
        "adaptive_pricing": {"enabled": False},
        "client_reference_id": deposit.id,
        "metadata": label,
        "payment_intent_data": {"metadata": label, "description": deposit.memo},
        "expires_at": int(now) + OPEN_S,
        "success_url": return_url,
        "cancel_url": return_url,
    }


def opened(session: Row, deposit: NewDeposit, *, live: bool) -> Opened:
    """What the payer gets of a session that was made for a deposit. Raises `ProviderUnavailable` for any other."""
    ref, url, expires_at = session.get("id"), session.get("url"), session.get("expires_at")
    wanted = price_of(deposit)
    if (
        not isinstance(ref, str)
        or not isinstance(url, str)
        or not url.startswith(("https://", "http://"))
        or type(expires_at) is not int
        or deposit_of(session) != deposit.id
        or state_of(session, ref, live=live) != Waiting()
        or _price(session) != wanted
    ):
        raise unexpected()
    return Opened(ref, float(expires_at), {"checkout_url": url})


def deposit_of(session: Row) -> str | None:
    """The deposit that a session was made for; None where it is none of ours: its two labels must say the same."""
    metadata, reference = session.get("metadata"), session.get("client_reference_id")
    label = metadata.get(LABEL) if isinstance(metadata, Mapping) else None
    if not isinstance(label, str) or not _DEPOSIT.fullmatch(label) or label != reference:
        return None
    return label


def state_of(session: Row, ref: str, *, live: bool) -> DepositState:
    """How the deposit of a session stands.

    Raises:
        ProviderUnavailable: this is not the session `ref` of this mode, or not as Stripe's API says.
    """
    if session.get("object") != "checkout.session" or session.get("id") != ref or session.get("mode") != "payment":
        raise unexpected()
    if session.get("livemode") is not live or deposit_of(session) is None:
        raise unexpected()
    match session.get("payment_status"), session.get("status"):
        case "paid", "complete":
            return PriceSettled(ref, _price(session))
        case "unpaid", "open" | "complete":
            return Waiting()
        case _, "expired":
            return Gone()
    raise unexpected()


def unexpected() -> ProviderUnavailable:
    """The error for an answer that cannot be believed."""
    return ProviderUnavailable("Stripe did not answer as its API says.")


def price_in(row: Row, amount: str) -> Fiat:
    """The member `amount` of an object, in its own currency."""
    cents, currency = row.get(amount), row.get("currency")
    if type(cents) is not int or cents <= 0 or not isinstance(currency, str) or len(currency) != 3:
        raise unexpected()
    return Fiat(currency.upper(), cents)


def _price(session: Row) -> Fiat:
    return price_in(session, "amount_total")


def _euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
