"""Refunds and disputes: whether money was taken back, or came back after all. No I/O here.

The object as it is now counts, not the event that told of it: events come in any order.
"""

from __future__ import annotations

from lightphon_core import Reversal
from lightphon_payment_card.sessions import Row, price_in, unexpected

_REFUND = {"pending": False, "requires_action": False, "succeeded": False, "failed": True, "canceled": True}
_INQUIRIES = frozenset({"warning_needs_response", "warning_under_review", "warning_closed"})
_DISPUTE = {
    "needs_response": False,
    "under_review": False,
    "appeal_needs_response": False,
    "appeal_under_review": False,
    "lost": False,
    "won": True,
    "prevented": True,
}
"""Whether it is returned, by status."""


def of_refund(refund: Row, ref: str) -> Reversal:
    """What a refund of the session `ref` does. Raises `ProviderUnavailable` where it cannot be read."""
    return _reversal(refund, "refund", ref, _REFUND)


def of_dispute(dispute: Row, ref: str) -> Reversal | None:
    """What a dispute does; None for an inquiry, which takes nothing. It may yet become a dispute, under the same id.

    Funds that are reinstated do not say that a dispute was won: Stripe gives back part of one that is about more than
    is left after refunds. `won` does.
    """
    if dispute.get("status") in _INQUIRIES:
        return None
    return _reversal(dispute, "dispute", ref, _DISPUTE)


def _reversal(row: Row, kind: str, ref: str, returned: dict[str, bool]) -> Reversal:
    name, status = row.get("id"), row.get("status")
    if row.get("object") != kind or not isinstance(name, str) or not name or status not in returned:
        raise unexpected()
    return Reversal(ref, name, price_in(row, "amount"), returned=returned[status])
