"""One deposit: the states that it passes through, and when to ask its provider about it. No I/O here.

creating ──> open ──> settled <──> reversed   all of it was taken back, or returned
    │         │          ^
    v         v          │
  failed   expired ──────┘   a payment that comes late is credited too
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from attrs import frozen

from lightphon_core.types import Fiat

LATE_S = 14 * 86_400.0
"""How long an expired deposit is still asked about: nothing that pushes needs it, and few wallets that do not let
anybody pay so late."""

LONGEST_S = 3_600.0
"""The longest rest between two questions about one deposit."""
_CALM_S = 15.0


class Status(StrEnum):
    """CREATING: stored, and its provider is being asked. OPEN: it can be paid. EXPIRED: not paid in time. FAILED:
    the provider did not open it, or its reply was lost, so nobody was ever shown it. SETTLED: paid and credited.
    REVERSED: all of it was taken back, by a refund or a dispute."""

    CREATING = "creating"
    OPEN = "open"
    EXPIRED = "expired"
    FAILED = "failed"
    SETTLED = "settled"
    REVERSED = "reversed"


@frozen
class Deposit:
    """`amount` msat were asked for, and `received` came, of which `clawed_back` was taken back. `pay` is what the payer
    needs. `price` is what is to be paid for `amount` where the provider has a currency, locked at `rate` for a bitcoin.
    Times are microseconds since 1970; `ref` is the provider's."""

    id: str
    account: str
    provider: str
    status: Status
    amount: int
    received: int | None
    ref: str | None
    pay: Mapping[str, str]
    created_at: int
    expires_at: int
    settled_at: int | None
    price: Fiat | None = None
    rate: Decimal | None = None
    clawed_back: int = 0

    @property
    def may_settle(self) -> bool:
        """Whether its provider may still report money for it."""
        return self.ref is not None and self.status in (Status.OPEN, Status.EXPIRED)

    def is_paid_by(self, invoice: str) -> bool:
        """Whether this is the invoice that was made for it, in capitals or not. Anybody can sign another one that bears
        the same ref, over whatever amount."""
        return self.pay.get("invoice", "").lower() == invoice.lower()


def new_id() -> str:
    """An id that nobody can guess: providers use it as a label."""
    return f"dep_{secrets.token_hex(12)}"


def look_again_s(age_s: float, *, pushes: bool, watched: bool, every_s: float = 0.5) -> float:
    """In how many seconds to ask about a deposit that was opened `age_s` ago.

    Where the provider pushes, asking only catches what was missed. Otherwise most people pay within minutes, and those
    are waiting: then, and while somebody watches, every `every_s` seconds.
    """
    if pushes:
        return min(max(_CALM_S, age_s / 10), LONGEST_S)
    return every_s if watched else min(max(every_s, age_s / 120), LONGEST_S)
