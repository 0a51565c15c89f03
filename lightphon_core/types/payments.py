"""What payment providers and the core say to each other. Amounts are millisatoshi, times seconds since 1970, UTC.

A `ref` is the provider's own name for a payment: a Lightning payment hash in hex, a checkout session's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


class Origin(StrEnum):
    """Where the money in a wallet came from. It is spent in this order: what can never be withdrawn goes first."""

    GRANTED = "granted"
    CARD = "card"
    LIGHTNING = "lightning"
    EARNED = "earned"


@frozen
class Fiat:
    """Money that is not bitcoin: `cents`, hundredths of `currency` (ISO 4217, in capitals)."""

    currency: str
    cents: int


@frozen
class NewDeposit:
    """A deposit to open. `id` is the core's, unique for good: a provider that is asked again for the same one must not
    take money twice. `memo` is what the payer's wallet shows. A provider with a currency is to take `price`, for which
    `amount` was locked; `return_url` is where it sends the payer's browser afterwards, None where there is no page."""

    id: str
    amount: int
    memo: str
    expires_in_s: int
    price: Fiat | None = None
    return_url: str | None = None


@frozen
class Opened:
    """A deposit that can be paid until `expires_at`. `pay` is what the payer needs: `{"invoice": "lnbc..."}` or
    `{"checkout_url": "https://..."}`."""

    ref: str
    expires_at: float
    pay: Mapping[str, str]


@frozen
class Settled:
    """`amount` has arrived for good, under `ref`; whether that is what was asked for or not. Money arrives under a ref
    once, however often this is said."""

    ref: str
    amount: int


@frozen
class PriceSettled:
    """`price` has been paid under `ref`. If that is the price of the deposit, what was locked for it is credited; else
    nothing is, and the operator is told. For providers with a currency; `Settled` is for all others."""

    ref: str
    price: Fiat


@frozen
class Reversal:
    """Of the money of `ref`, `price` was taken back: by the refund or the dispute `object`, the provider's id. With
    `returned` that has come to nothing: the refund failed or the dispute was won. Said in any order, however often; an
    object that was returned stays so."""

    ref: str
    object: str
    price: Fiat
    returned: bool = False


Change = Settled | PriceSettled | Reversal
"""What may happen to the money of a deposit."""


@frozen
class Waiting:
    """Nothing has arrived, and may still."""


@frozen
class Gone:
    """Nothing has arrived, and nothing will: it has expired, was cancelled, or is not known."""


DepositState = Settled | PriceSettled | Waiting | Gone


@frozen
class Event:
    """Something has happened at the provider: a change, or nothing of ours. Who begins anew at `cursor` gets what comes
    after it; None where the provider counts nothing."""

    change: Change | None
    cursor: str | None


@frozen
class Hint:
    """Something may have happened to `ref`: whoever says so is not to be believed, and the provider is to be asked."""

    ref: str


@frozen
class Invoice:
    """A demand for money that a payout pays. `amount` is None where the payer says how much; `text` is what is sent to
    the wallet."""

    ref: str
    text: str
    amount: int | None
    expires_at: float


@frozen
class Address:
    """Somebody who hands out invoices when asked, such as a Lightning address, `name@host`."""

    text: str


Destination = Invoice | Address


@frozen
class Payment:
    """What a provider is to pay. `fee_cap` bounds what the network may cost beside `amount`; `payout` is the core's id,
    to label the payment with."""

    payout: str
    ref: str
    invoice: str
    amount: int
    fee_cap: int


@frozen
class Paid:
    """It has arrived, and cost `fee` beside the amount."""

    fee: int


@frozen
class Failed:
    """It has failed for good: no money left, and none will. `reason` is fit for whoever asked for it."""

    reason: str


@frozen
class InFlight:
    """It is under way: it may arrive or fail."""


@frozen
class NotKnown:
    """The wallet knows of no such payment. That does not say that there will be none: a request may be on its way."""


PaymentState = Paid | Failed | InFlight | NotKnown


@frozen
class Outgoing:
    """A payment that left the wallet, or is about to, as the wallet tells it."""

    ref: str
    amount: int
    at: float
    state: PaymentState = field(factory=InFlight)
