"""One payout: the states that it passes through, and what each does to the books. No I/O here.

awaiting_approval ──> held ──> submitted ──> paid | failed
        │              │           │
        v              v           v
     failed          failed     unknown ──> paid | failed   by looking it up, and in no other way
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen

from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.money import BASIS_POINTS, MSAT_PER_SAT, sats
from lightphon_core.ports import PayoutProvider
from lightphon_core.settings import PayoutSettings
from lightphon_core.types import Address, Destination, Invoice

PAYOUT = "payout"
PAYOUT_PAID = "payout_paid"
PAYOUT_FAILED = "payout_failed"
INTERNAL = "internal"

FORGOTTEN_S = 3_600.0
"""How long after its invoice has expired a payment that the wallet does not know can be declared failed."""
LONGEST_REASON = 500

_EAGER_S = 1.0
_LONGEST_S = 600.0


class PayoutState(StrEnum):
    """AWAITING_APPROVAL: an administrator is to approve it. HELD: the money has left the wallet, and nobody was asked
    to pay. SUBMITTED: the provider is being asked. UNKNOWN: it was, and nobody knows yet what came of it."""

    AWAITING_APPROVAL = "awaiting_approval"
    HELD = "held"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    PAID = "paid"
    FAILED = "failed"


NOT_SENT = (PayoutState.AWAITING_APPROVAL, PayoutState.HELD)
SENT = (PayoutState.SUBMITTED, PayoutState.UNKNOWN)
"""States of which only a look-up tells the end."""
UNDER_WAY = NOT_SENT + SENT


@frozen
class Payout:
    """`lightning` and `earned` of the wallet were taken for `amount` and `fee_cap`. What they do not cover is owed: the
    wallet no longer had it when a payout was found again after a restore. `invoice` is what is paid, under `ref`; an
    address has neither before it is submitted. Times are microseconds since 1970."""

    id: str
    account: str
    provider: str
    state: PayoutState
    destination: str
    automatic: bool
    amount: int
    fee_cap: int
    fee: int | None
    lightning: int
    earned: int
    ref: str | None
    invoice: str | None
    invoice_expires_at: int | None
    reason: str | None
    created_at: int
    submitted_at: int | None = None
    ended_at: int | None = None

    @property
    def owed(self) -> int:
        """What of it the wallet did not have."""
        return self.amount + self.fee_cap - self.lightning - self.earned

    @property
    def demand(self) -> Invoice:
        """The invoice that is paid. An address gives it when the payout is submitted; before, it is a `ValueError`."""
        if self.ref is None or self.invoice is None or self.invoice_expires_at is None:
            raise ValueError(f"The payout {self.id} has no invoice yet.")
        return Invoice(self.ref, self.invoice, self.amount, self.invoice_expires_at / 1_000_000)


def payout_id(account: str, key: str | None = None) -> str:
    """A new id; with an Idempotency-Key always the same for the account and the key."""
    if key is None:
        return f"pay_{secrets.token_hex(16)}"
    return f"pay_{hashlib.sha256(f'{account} {key}'.encode()).hexdigest()[:32]}"


def fee_cap_of(provider: PayoutProvider, settings: PayoutSettings, amount: int) -> int:
    """What the network may charge for a payout of `amount`: what the operator allows, or what the wallet needs."""
    allowed = settings.fee_base + amount * settings.fee_bps // BASIS_POINTS
    return max(allowed, provider.least_fee_cap(amount))


def amount_of(destination: Destination, asked: int | None) -> int:
    """The amount of a payout to `destination`, of which `asked` msat were asked for, if so much was said.

    Raises:
        InvalidRequest: an address needs an amount; an invoice needs one of its own, and no other may be asked for.
    """
    if isinstance(destination, Address):
        if asked is None:
            raise InvalidRequest("A payout to an address needs amount_sats.", param="amount_sats")
        return asked
    if destination.amount is None:
        raise InvalidRequest(
            "This invoice names no amount. Ask its issuer for one over the amount that you want to withdraw.",
            param="destination",
            code="invoice_without_amount",
        )
    if asked is not None and asked != destination.amount:
        raise InvalidRequest(
            f"The invoice is over {sats(destination.amount)} sats, not {sats(asked)}. Leave amount_sats out.",
            param="amount_sats",
        )
    if destination.amount <= 0:
        raise InvalidRequest("This invoice is over nothing.", param="destination")
    return destination.amount


def check_resolved(invoice: Invoice, amount: int, now: float) -> None:
    """Raises `InvalidRequest` unless the invoice that an address gave is over exactly `amount` and can be paid."""
    if invoice.amount != amount:
        raise InvalidRequest("The address answered with an invoice over another amount.", param="destination")
    if invoice.expires_at <= now:
        raise InvalidRequest("The address answered with an invoice that has expired.", param="destination")


def most_affordable(provider: PayoutProvider, settings: PayoutSettings, available: int) -> int:
    """The most whole sats, in msat, that `available` pays together with their fee cap; 0 where there are none."""
    low, high = 0, available // MSAT_PER_SAT
    while low < high:
        middle = (low + high + 1) // 2
        amount = middle * MSAT_PER_SAT
        if amount + fee_cap_of(provider, settings, amount) <= available:
            low = middle
        else:
            high = middle - 1
    return low * MSAT_PER_SAT


def look_again_s(age_s: float) -> float:
    """In how many seconds to look a payout up again that was submitted `age_s` ago."""
    return min(max(_EAGER_S, age_s / 4), _LONGEST_S)


def taken(payout: Payout) -> Post:
    """Amount and fee cap leave the wallet."""
    account, on_its_way = payout.account, chart.payout(payout.account)
    parts = (
        (chart.wallet(account, Origin.LIGHTNING), payout.lightning),
        (chart.wallet(account, Origin.EARNED), payout.earned),
        (chart.receivable(account), payout.owed),
    )
    return _entry(PAYOUT, payout, ((source, on_its_way, part) for source, part in parts))


def paid(payout: Payout, fee: int) -> Post:
    """The amount has left the provider, and `fee` besides. What exceeds the cap is the house's loss."""
    on_its_way, clearing = chart.payout(payout.account), chart.clearing(payout.provider)
    charged = min(fee, payout.fee_cap)
    return _entry(
        PAYOUT_PAID,
        payout,
        (
            (on_its_way, clearing, payout.amount),
            (on_its_way, chart.ROUTING_FEES, charged),
            (chart.ROUTING_FEES, clearing, fee),
            *_back(payout, payout.amount + charged),
        ),
    )


def failed(payout: Payout) -> Post:
    """All of it goes back."""
    return _entry(PAYOUT_FAILED, payout, _back(payout, 0))


def internal(payout: Payout, payee: str) -> Post:
    """The amount becomes that of another account here; the provider is not asked, and takes no fee."""
    wallet = chart.wallet(payee, Origin.LIGHTNING)
    return _entry(
        INTERNAL, payout, ((chart.payout(payout.account), wallet, payout.amount), *_back(payout, payout.amount))
    )


def _back(payout: Payout, kept: int) -> Iterable[tuple[str, str, int]]:
    """What is left goes back where it came from: debts first, and what was taken last."""
    account, rest = payout.account, payout.amount + payout.fee_cap - kept
    for name, part in (
        (chart.receivable(account), payout.owed),
        (chart.wallet(account, Origin.EARNED), payout.earned),
        (chart.wallet(account, Origin.LIGHTNING), payout.lightning),
    ):
        yield chart.payout(account), name, min(rest, part)
        rest -= min(rest, part)


def _entry(kind: str, payout: Payout, moves: Iterable[tuple[str, str, int]]) -> Post:
    postings = tuple(Posting(debit, credit, amount) for debit, credit, amount in moves if amount)
    return Post(kind, payout.provider, payout.id, postings, payout.id)
