"""What every kind of Lightning wallet can do for the plugin. One class each stands beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence

from lightphon_core import (
    DepositState,
    Event,
    Hint,
    NewDeposit,
    NotFound,
    Outgoing,
    Payment,
    PaymentState,
    Settled,
)


class Wallet(ABC):
    """A wallet of the operator. A `payment_hash` is 64 hex digits in small letters: it is the `ref` of the core.

    `pushes`: `settlements` tells of a payment at once. `play_money`: nothing here is worth anything. `test_pay_path` is
    that of `PaymentProvider`. Where a method says nothing else, it raises `ProviderUnavailable` when the wallet does
    not answer, or not as its API says.
    """

    pushes: bool = False
    play_money: bool = False
    test_pay_path: str | None = None

    @abstractmethod
    async def invoice(self, deposit: NewDeposit) -> str:
        """A new BOLT11 invoice over exactly `deposit.amount`. Whoever calls checks network, amount and expiry."""

    @abstractmethod
    async def received(self, payment_hash: str) -> DepositState:
        """Whether an invoice of `invoice` was paid, and with how much."""

    def settlements(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        """As `PaymentProvider.events`."""
        del cursor
        raise NotImplementedError

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Settled | Hint]:
        """As `PaymentProvider.webhook`."""
        del headers, body
        raise NotFound("This wallet sends no webhooks.")

    def least_fee_cap(self, amount: int) -> int:
        """As `PayoutProvider.least_fee_cap`."""
        del amount
        return 0

    @abstractmethod
    async def pay(self, payment: Payment) -> PaymentState:
        """As `PayoutProvider.pay`: raises `NotSent` only where the wallet has surely not been asked. What fails after
        the request has left is `ProviderUnavailable`, and the core looks the payment up."""

    @abstractmethod
    async def payment(self, payment_hash: str) -> PaymentState:
        """How an outgoing payment stands. `NotKnown` is what the wallet itself says, never a guess."""

    @abstractmethod
    async def payments(self, since: float) -> Sequence[Outgoing]:
        """Every outgoing payment begun after `since` (seconds since 1970), whoever asked for it."""

    async def start(self) -> None:  # noqa: B027 - optional
        """Called before the first request. Must not fail because the wallet does not answer yet: it may start later."""

    async def stop(self) -> None:  # noqa: B027 - optional
        """Called when the server stops."""
