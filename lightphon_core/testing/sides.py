"""What the author of a payment plugin gives the contract suites: somebody who pays its deposits, and somebody whom its
payouts pay, each with a hand on the wallet between them and the plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum, auto

from lightphon_core.ports import PaymentProvider, PayoutProvider
from lightphon_core.types import Opened

MSAT_PER_CENT = 10
"""The suites' own rate, for providers with a currency: what is paid is a price of so many msat a cent."""


class Can(Enum):
    """What a test may ask of a side. The suite checks what is left without the others."""

    CUT = auto()
    """Take the wallet off the net, and put it back."""
    LOSE = auto()
    """Have the wallet do the next thing it is asked to change, without an answer."""
    AMOUNT = auto()
    """Payer: pay another amount than was asked for."""
    EXPIRE = auto()
    """Payer: have a deposit expire at the wallet."""
    PAY_LATE = auto()
    """Payer: pay one that has expired."""
    REPEAT = auto()
    """Payer: have the wallet tell of a payment again."""
    REVERSE = auto()
    """Payer: have a part of a payment taken back, where the provider has a currency."""
    STRANGER = auto()
    """Payer: pay the wallet something that the plugin has not asked for. Payee: the same, the other way round."""
    WEBHOOK = auto()
    """Payer: say what the wallet would send to the webhook."""
    HOLD = auto()
    """Payee: keep a payment in flight, and then take it or send it back."""
    REFUSE = auto()
    """Payee: let no payment through."""
    FEE = auto()
    """Payee: say what payments cost."""
    AMOUNTLESS = auto()
    """Payee: write an invoice of which the payer says the amount."""
    ADDRESS = auto()
    """Payee: have an address."""


class _Side(ABC):  # noqa: B024 - what it cannot do, it need not have
    """One side of a wallet. `can`: what it can do; `secrets`: what the plugin must never show anybody.

    A method that raises NotImplementedError here is asked for by the suite only where `can` names it.
    """

    can: frozenset[Can] = frozenset()
    secrets: Sequence[str] = ()

    async def cut(self) -> None:
        """The wallet cannot be reached from now on: connections break, and new ones are refused."""
        raise NotImplementedError

    async def mend(self) -> None:
        """It can be reached again."""
        raise NotImplementedError

    async def lose_reply(self) -> None:
        """The next request that changes something at the wallet (an invoice, a payment) is carried out, and the
        connection breaks before the answer."""
        raise NotImplementedError


class Payer(_Side):
    """Pays deposits, from outside of the plugin. Amounts are msat; where the provider has a currency they stand for a
    price, at MSAT_PER_CENT."""

    least: int = 1_000
    most: int = 1_000_000_000
    """The amounts that the suite pays, at least and at most: a sat, and a million of them."""

    @abstractmethod
    def provider(self) -> PaymentProvider:
        """A new provider over the wallet, not started: as after a restart. The suite starts and stops it."""

    @abstractmethod
    async def pay(self, opened: Opened, amount: int | None = None) -> int:
        """Pay it: what it asks for, or another amount (`Can.AMOUNT`). Returns how much the wallet has then received."""

    async def expire(self, opened: Opened) -> None:
        """It is over at the wallet, unpaid."""
        raise NotImplementedError

    async def repeat(self, opened: Opened) -> None:
        """The wallet tells once more that this one was paid."""
        raise NotImplementedError

    async def reverse(self, opened: Opened, amount: int, *, returned: bool) -> tuple[Mapping[str, str], bytes]:
        """One refund or dispute, always the same of a deposit, takes so much of it back; where `returned`, it has come
        to nothing. Headers and body of what the wallet then sends to the webhook."""
        raise NotImplementedError

    async def pay_stranger(self) -> None:
        """The wallet receives something that it was not asked for by the plugin."""
        raise NotImplementedError

    def webhook(self, opened: Opened) -> tuple[Mapping[str, str], bytes]:
        """Headers, in small letters, and body of what the wallet would send when this one was paid."""
        raise NotImplementedError


class Payee(_Side):
    """Is paid by payouts. Amounts are msat."""

    amount: int = 21_000
    """What the suite has paid."""
    wrong: Sequence[str] = ()
    """Texts that look like a destination, and are none: of another network, misspelt, cut off."""

    @abstractmethod
    def provider(self) -> PayoutProvider:
        """As `Payer.provider`."""

    @abstractmethod
    async def invoice(self, amount: int | None) -> str:
        """The text of a new invoice; without an amount, if None (`Can.AMOUNTLESS`)."""

    @abstractmethod
    async def received(self, ref: str) -> int:
        """What has arrived for the invoice of this ref, in all; twice as much, if it was paid twice."""

    async def address(self, *, known: bool = True) -> str:
        """An address that hands out invoices; one where there is nobody, if not `known`."""
        raise NotImplementedError

    async def hold(self) -> None:
        """Payments from now on stay in flight."""
        raise NotImplementedError

    async def take(self, ref: str) -> None:
        """A payment that is in flight arrives."""
        raise NotImplementedError

    async def send_back(self, ref: str) -> None:
        """A payment that is in flight fails."""
        raise NotImplementedError

    async def refuse(self) -> None:
        """Payments from now on fail, for good."""
        raise NotImplementedError

    async def charge(self, fee: int) -> None:
        """Payments from now on cost so much beside the amount."""
        raise NotImplementedError

    async def pay_stranger(self) -> str:
        """Somebody else pays an invoice from the same wallet. Its ref."""
        raise NotImplementedError
