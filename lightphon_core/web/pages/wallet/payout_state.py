"""How a withdrawal stands, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from lightphon_core.payments.payouts.payout import UNDER_WAY, Payout, PayoutState
from lightphon_core.web.pages.frame.formats import in_sats

_SAYS: Final[Mapping[PayoutState, tuple[str, str, str]]] = {
    PayoutState.AWAITING_APPROVAL: ("awaits approval", "warn", "An administrator is to approve it."),
    PayoutState.HELD: ("waiting", "", "It is sent next, or when the operator lets payouts go on."),
    PayoutState.SUBMITTED: ("on its way", "accent", "The server's wallet is being asked to pay."),
    PayoutState.UNKNOWN: ("on its way", "warn", "The wallet was asked, and has not said yet what came of it."),
    PayoutState.PAID: ("paid", "good", ""),
    PayoutState.FAILED: ("failed", "bad", ""),
}


@frozen
class PayoutShown:
    """`badge` is the state in a word, of the kind `kind`; `words` say more of it."""

    payout: Payout
    badge: str
    kind: str
    words: str


def shown(payout: Payout) -> PayoutShown:
    """How the payout stands."""
    badge, kind, words = _SAYS[payout.state]
    if payout.state is PayoutState.PAID and payout.fee is not None:
        words = f"The network took {in_sats(payout.fee)}."
    if payout.state is PayoutState.FAILED:
        words = f"{payout.reason or 'It did not arrive.'} All of the money is back."
    return PayoutShown(payout, badge, kind, words)


def is_under_way(payout: Payout) -> bool:
    """Whether it has not ended yet."""
    return payout.state in UNDER_WAY
