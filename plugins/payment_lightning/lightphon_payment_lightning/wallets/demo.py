"""Play money: a wallet in this process, whose invoices anybody can pay with nothing.

It signs real invoices of the network regtest, so that everything around it works as with a real wallet. Nothing
outlives the process: an invoice of an earlier one is not known any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from attrs import define, frozen

from lightphon_core import (
    DepositState,
    Event,
    Failed,
    Gone,
    Host,
    InvalidRequest,
    NewDeposit,
    NotKnown,
    Outgoing,
    Paid,
    Payment,
    PaymentState,
    Settled,
    Waiting,
)
from lightphon_payment_lightning.invoices import InvoiceError, decode, sign
from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.wallets.wallet import Wallet

ROOT = "/api/demo-wallet"
PAY_PATH = f"{ROOT}/pay"
"""Where an invoice is paid by whoever has a credential of the server."""
MAX_SATS = 100_000_000


@frozen
class DemoSettings:
    """Play money. There is nothing to set."""


@define
class _Receivable:
    """An invoice of ours: to fill a wallet, or (`outside`) of the payer's own, to withdraw to."""

    text: str
    amount: int
    expires_at: float
    outside: bool = False
    paid: bool = False


class Demo(Wallet):
    """Both sides of the network: the operator's wallet, which the core uses, and the payer's: `pay_in`, `outside`."""

    pushes = True
    play_money = True
    test_pay_path = PAY_PATH

    def __init__(self, settings: DemoSettings, host: Host[Any]) -> None:
        del settings
        self._clock = host.clock
        self._key = secrets.token_hex(32)
        self._asked: dict[str, _Receivable] = {}
        self._by_deposit: dict[str, str] = {}
        self._sent: dict[str, Outgoing] = {}
        self._readers: set[asyncio.Queue[Event]] = set()

    async def invoice(self, deposit: NewDeposit) -> str:
        known = self._by_deposit.get(deposit.id)
        if known is None:
            known = self._new_invoice(deposit.amount, deposit.memo, deposit.expires_in_s, outside=False)
            self._by_deposit[deposit.id] = known
        return self._asked[known].text

    async def received(self, payment_hash: str) -> DepositState:
        asked = self._asked.get(payment_hash)
        if asked is None:
            return Gone()
        if asked.paid:
            return Settled(payment_hash, asked.amount)
        return Gone() if asked.expires_at <= self._clock.now() else Waiting()

    async def settlements(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        del cursor
        heard: asyncio.Queue[Event] = asyncio.Queue()
        self._readers.add(heard)
        try:
            while True:
                yield await heard.get()
        finally:
            self._readers.discard(heard)

    async def pay(self, payment: Payment) -> PaymentState:
        known = self._sent.get(payment.ref)
        if known is None:
            self._sent[payment.ref] = known = Outgoing(
                payment.ref, payment.amount, self._clock.now(), self._paid(payment.ref)
            )
        return known.state

    async def payment(self, payment_hash: str) -> PaymentState:
        known = self._sent.get(payment_hash)
        return NotKnown() if known is None else known.state

    async def payments(self, since: float) -> Sequence[Outgoing]:
        return [each for each in self._sent.values() if each.at >= since]

    def pay_in(self, text: str) -> int:
        """Play the payer of an invoice that fills a wallet; the amount in msat comes back.

        Raises:
            InvalidRequest: it is none of this process, has expired or was paid before.
        """
        try:
            ref = decode(text).invoice.ref
        except InvoiceError as error:
            raise InvalidRequest(str(error), param="invoice") from None
        asked = self._asked.get(ref)
        if asked is None or asked.outside or asked.text != text.lower():
            raise InvalidRequest("This invoice is not of the demo wallet of this server.", param="invoice")
        if asked.paid:
            raise InvalidRequest("This invoice has been paid already.", param="invoice")
        if asked.expires_at <= self._clock.now():
            raise InvalidRequest("This invoice has expired. Open a new deposit.", param="invoice")
        self._arrived(ref, asked)
        return asked.amount

    def outside(self, amount: int) -> str:
        """An invoice over `amount` msat of somebody outside of LightPhon, to withdraw to."""
        return self._asked[self._new_invoice(amount, "Withdrawal of play money", 3_600, outside=True)].text

    def _paid(self, ref: str) -> PaymentState:
        asked = self._asked.get(ref)
        if asked is None:
            return Paid(0)
        if asked.paid:
            return Failed("This invoice has been paid already.")
        self._arrived(ref, asked)
        return Paid(0)

    def _arrived(self, ref: str, asked: _Receivable) -> None:
        asked.paid = True
        if not asked.outside:
            for reader in self._readers:
                reader.put_nowait(Event(Settled(ref, asked.amount), None))

    def _new_invoice(self, amount: int, memo: str, expires_in_s: int, *, outside: bool) -> str:
        now = int(self._clock.now())
        ref = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
        text = sign(
            Network.REGTEST,
            amount=amount,
            payment_hash=ref,
            payment_secret=secrets.token_hex(32),
            memo=memo,
            created_at=now,
            expires_in_s=expires_in_s,
            private_key=self._key,
        )
        self._asked[ref] = _Receivable(text, amount, now + expires_in_s, outside)
        return ref
