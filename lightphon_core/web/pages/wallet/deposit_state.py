"""How a deposit stands, in words, for its owner and for whoever comes back from paying. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from lightphon_core.money import euros
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.web.pages.frame.formats import shown_sats

_WAITING = ("Waiting for the payment", "This page looks again by itself. The payment counts even if you close it.")
_SAYS: Final[Mapping[Status, tuple[str, str]]] = {
    Status.CREATING: _WAITING,
    Status.OPEN: _WAITING,
    Status.EXPIRED: ("Not paid in time", "If you have paid all the same, it will still be credited."),
    Status.FAILED: ("Not opened", "There is nothing to pay. Open another deposit."),
    Status.SETTLED: ("Paid", "It is in the wallet. You can close this page."),
    Status.REVERSED: ("Taken back", "The payment was refunded or disputed, and is no longer in the wallet."),
}
_BADGES: Final[Mapping[Status, tuple[str, str]]] = {
    Status.CREATING: ("being opened", ""),
    Status.OPEN: ("open", "accent"),
    Status.EXPIRED: ("expired", ""),
    Status.FAILED: ("failed", "bad"),
    Status.SETTLED: ("paid", "good"),
    Status.REVERSED: ("taken back", "warn"),
}


@frozen
class DepositState:
    """`title` and `words` say how it stands, `amount` what is paid and what for; `waits` while it may be paid.
    `badge` is the state in a word, of the kind `kind`."""

    title: str
    words: str
    amount: str
    waits: bool
    badge: str
    kind: str


def state_of(deposit: Deposit) -> DepositState:
    """How the deposit stands."""
    waits = deposit.status in (Status.CREATING, Status.OPEN)
    return DepositState(*_SAYS[deposit.status], amount_of(deposit), waits, *_BADGES[deposit.status])


def amount_of(deposit: Deposit) -> str:
    """What was paid, or is to be, and what is credited for it."""
    credited = shown_sats(deposit.amount if deposit.received is None else deposit.received)
    if deposit.price is None:
        return f"{credited} sats"
    return f"{euros(deposit.price.cents)} {deposit.price.currency} for {credited} sats"
