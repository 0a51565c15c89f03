"""A payout provider in memory that does what a test tells it to."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

from attrs import evolve

from lightphon_core.errors import InvalidRequest
from lightphon_core.host import Clock, SystemClock
from lightphon_core.ports import PayoutProvider
from lightphon_core.testing.payments.scripted import scripted_invoice
from lightphon_core.testing.scripted_line import Line
from lightphon_core.types import (
    Address,
    Destination,
    Failed,
    InFlight,
    Invoice,
    NotKnown,
    Outgoing,
    Paid,
    Payment,
    PaymentState,
)

EXPIRY_S = 3600


class ScriptedPayouts(PayoutProvider):
    """Pays invoices that `invoice` writes, and to addresses `name@host`, but for `nobody@...`. Each payment costs `fee`
    and fails where the cap is lower; `in_flight`: it is under way until `finish`; `fails`: it fails for this reason.
    `line` says how calls go; `left` has every payment that left the wallet, twice what left it twice."""

    def __init__(self, name: str = "scripted", *, fee: int = 0, least_cap: int = 0, clock: Clock | None = None) -> None:
        self.name = name
        self.fee = fee
        self.least_cap = least_cap
        self.in_flight = False
        self.fails: str | None = None
        self.line = Line()
        self.left: list[Payment] = []
        self._clock = clock or SystemClock()
        self._outgoing: dict[str, Outgoing] = {}

    def invoice(self, amount: int | None, *, ref: str | None = None, expires_in_s: int = EXPIRY_S) -> str:
        """What somebody would have paid: the text of an invoice."""
        return scripted_invoice(ref or secrets.token_hex(32), amount, self._clock.now() + expires_in_s)

    def read(self, destination: str) -> Destination:
        if found := re.fullmatch(r"scripted:([0-9a-f]{64}):([0-9]{1,15}|any):([0-9]{1,10})", destination):
            amount = None if found[2] == "any" else int(found[2])
            return Invoice(found[1], destination, amount, float(found[3]))
        if re.fullmatch(r"[a-z0-9._-]{1,64}@[a-z0-9.-]{1,255}", destination):
            return Address(destination)
        raise InvalidRequest("This is nothing that the scripted provider pays.", param="destination")

    async def resolve(self, address: Address, amount: int) -> Invoice:
        self.line.begin("resolve")
        if address.text.startswith("nobody@"):
            raise InvalidRequest("There is nobody of this name.", param="destination")
        invoice = self.read(self.invoice(amount))
        assert isinstance(invoice, Invoice)
        self.line.end("resolve")
        return invoice

    def least_fee_cap(self, amount: int) -> int:
        del amount
        return self.least_cap

    async def pay(self, payment: Payment) -> PaymentState:
        self.line.begin("pay")
        if payment.ref not in self._outgoing:
            self.left.append(payment)
            self._outgoing[payment.ref] = Outgoing(payment.ref, payment.amount, self._clock.now(), self._ends(payment))
        self.line.end("pay")
        return self._outgoing[payment.ref].state

    def _ends(self, payment: Payment) -> PaymentState:
        if self.in_flight:
            return InFlight()
        if self.fails is not None:
            return Failed(self.fails)
        return Paid(self.fee) if self.fee <= payment.fee_cap else Failed("There is no way that is cheap enough.")

    async def lookup(self, ref: str) -> PaymentState:
        self.line.begin("lookup")
        found = self._outgoing.get(ref)
        self.line.end("lookup")
        return NotKnown() if found is None else found.state

    async def sent(self, since: float) -> Sequence[Outgoing]:
        self.line.begin("sent")
        found = [each for each in self._outgoing.values() if each.at > since]
        self.line.end("sent")
        return found

    def finish(self, ref: str, state: PaymentState) -> None:
        """How a payment stands from now on: `Paid`, `Failed`."""
        self._outgoing[ref] = evolve(self._outgoing[ref], state=state)

    def forget(self, ref: str) -> None:
        """From now on the wallet knows nothing of it."""
        del self._outgoing[ref]

    def paid_by_others(self, amount: int, ref: str | None = None, state: PaymentState | None = None) -> str:
        """Somebody else who uses the wallet pays something. Its ref."""
        ref = ref or secrets.token_hex(32)
        self._outgoing[ref] = Outgoing(ref, amount, self._clock.now(), state or Paid(0))
        return ref
