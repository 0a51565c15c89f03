"""Lightning as it fills wallets: the core's `PaymentProvider` over the operator's Lightning wallet."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from lightphon_core import (
    DepositState,
    Event,
    Hint,
    Host,
    NewDeposit,
    Opened,
    Origin,
    PaymentProvider,
    ProviderUnavailable,
    Settled,
)
from lightphon_payment_lightning.chosen import Chosen
from lightphon_payment_lightning.invoices import InvoiceError, checked

NAME = "lightning"


class LightningDeposits(PaymentProvider):
    """Hands out the wallet's invoices, and tells which were paid. It starts and stops the wallet, for payouts too."""

    name = NAME
    origin = Origin.LIGHTNING

    def __init__(self, chosen: Chosen, host: Host[Any]) -> None:
        self._wallet = chosen.wallet
        self._network = chosen.network
        self._clock = host.clock
        self._log = host.log
        self.play_money = chosen.wallet.play_money
        self.pushes = chosen.wallet.pushes
        self.test_pay_path = chosen.wallet.test_pay_path

    async def open(self, deposit: NewDeposit) -> Opened:
        text = await self._wallet.invoice(deposit)
        try:
            found = checked(text, self._network, amount=deposit.amount, now=self._clock.now())
        except InvoiceError as error:
            # Most often an operator's wallet on another network than the settings say.
            self._log.error("the wallet gave an invoice that cannot be used", deposit=deposit.id, reason=str(error))
            raise ProviderUnavailable(
                "The Lightning wallet gave an invoice that cannot be used; the operator's log says why."
            ) from None
        return Opened(found.invoice.ref, found.invoice.expires_at, {"invoice": found.invoice.text})

    async def lookup(self, ref: str) -> DepositState:
        return await self._wallet.received(ref)

    def events(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        return self._wallet.settlements(cursor)

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Settled | Hint]:
        return await self._wallet.webhook(headers, body)

    async def start(self) -> None:
        await self._wallet.start()

    async def stop(self) -> None:
        await self._wallet.stop()
