"""What the checks of payout providers are made of: a payment is asked for, followed, and found to have arrived once."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from attrs import frozen

from lightphon_core.errors import NotSent, ProviderUnavailable
from lightphon_core.ports import PayoutProvider
from lightphon_core.testing.promises import answer, until, within
from lightphon_core.testing.sides import Payee
from lightphon_core.types import Failed, InFlight, Invoice, NotKnown, Outgoing, Paid, Payment, PaymentState

Answer = PaymentState | ProviderUnavailable

_numbers = itertools.count(1)


@frozen
class Stage:
    """A started provider, and whom it pays."""

    provider: PayoutProvider
    payee: Payee

    async def payment(self, *, fee_cap: int | None = None) -> Payment:
        """A payment of a new invoice, with a fee cap that is wide, unless told."""
        amount = self.payee.amount
        invoice = self.provider.read(await self.payee.invoice(amount))
        assert isinstance(invoice, Invoice), f"the text of an invoice is read as an Invoice, not {invoice!r}"
        cap = max(amount // 10, self.provider.least_fee_cap(amount)) if fee_cap is None else fee_cap
        return Payment(f"pay_contract{next(_numbers)}n{time.time_ns()}", invoice.ref, invoice.text, amount, cap)

    async def pay(self, payment: Payment) -> Answer:
        """What comes of asking for it."""
        return _checked(await answer(self.provider.pay(payment), "pay()", ProviderUnavailable), "pay()")

    async def look(self, ref: str) -> Answer:
        """What comes of looking it up."""
        return _checked(await answer(self.provider.lookup(ref), "lookup()", ProviderUnavailable), "lookup()")

    async def ends(self, ref: str, promise: str) -> Paid | Failed:
        """How it has ended, once it has, by looking it up."""
        found = await until(lambda: self.look(ref), lambda state: isinstance(state, Paid | Failed), promise)
        assert isinstance(found, Paid | Failed)
        return found

    async def arrived(self, payment: Payment) -> int:
        """How often it has arrived."""
        received = await self.payee.received(payment.ref)
        assert received % payment.amount == 0, f"the amount arrives, {payment.amount} msat, and not {received}"
        return received // payment.amount

    async def paid(self, payment: Payment, first: Answer) -> Paid:
        """It has been paid, once, and for no more than the cap, now or soon after the answer to `pay`."""
        assert not isinstance(first, Failed | NotKnown | NotSent), (
            f"a payment that arrives is Paid or InFlight, or nobody knows, but not {first!r}"
        )
        state = (
            first if isinstance(first, Paid) else await self.ends(payment.ref, "a payment that arrives ends as Paid")
        )
        assert isinstance(state, Paid), f"a payment that has arrived is Paid, and not {state!r}"
        assert type(state.fee) is int, f"a fee is a whole number of msat, not {state.fee!r}"
        assert 0 <= state.fee <= payment.fee_cap, f"a fee is at most the cap, {payment.fee_cap} msat, not {state.fee}"
        looked = await self.look(payment.ref)
        assert looked == state, f"what was paid is looked up as {state!r}, and not as {looked!r}"
        assert await self.arrived(payment) == 1, "what was paid has arrived, once"
        return state

    async def outgoing(self, since: float) -> dict[str, Outgoing]:
        """What was sent, by ref."""
        found = await self.provider.sent(since)
        assert all(isinstance(each, Outgoing) for each in found), f"sent() returns Outgoings, not {found!r}"
        assert len({each.ref for each in found}) == len(found), "sent() has each payment once"
        return {each.ref: each for each in found}


def _checked(found: object, method: str) -> Answer:
    assert isinstance(found, Paid | Failed | InFlight | NotKnown | ProviderUnavailable), (
        f"{method} returns a PaymentState, not {found!r}"
    )
    return found


@asynccontextmanager
async def staged(payee: Payee) -> AsyncGenerator[Stage, None]:
    """A provider over the payee's wallet, which is stopped in the end."""
    provider = payee.provider()
    await provider.start()
    try:
        yield Stage(provider, payee)
    finally:
        async with within("a provider that is stopped stops"):
            await provider.stop()
