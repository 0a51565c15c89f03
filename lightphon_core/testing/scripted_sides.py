"""Both sides of the scripted providers, for their own contract tests, and as an example of such sides."""

from __future__ import annotations

from collections.abc import Mapping

from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.sides import MSAT_PER_CENT, Can, Payee, Payer
from lightphon_core.types import Failed, Fiat, Opened, Paid, PriceSettled, Settled


class ScriptedPayer(Payer):
    """Pays what a `ScriptedPayments` has opened."""

    can = frozenset({Can.CUT, Can.LOSE, Can.AMOUNT, Can.EXPIRE, Can.PAY_LATE, Can.REPEAT, Can.STRANGER, Can.WEBHOOK})

    def __init__(self, payments: ScriptedPayments) -> None:
        self._payments = payments
        self.secrets = [payments.secret.hex()]
        if payments.currency is not None:
            self.can |= {Can.REVERSE}
        self._paid: dict[str, Settled | PriceSettled] = {}

    def provider(self) -> ScriptedPayments:
        return self._payments

    async def pay(self, opened: Opened, amount: int | None = None) -> int:
        if self._payments.currency is not None and amount is not None:
            amount //= MSAT_PER_CENT
        said = self._paid[opened.ref] = self._payments.pay(opened.ref, amount)
        return said.amount if isinstance(said, Settled) else said.price.cents * MSAT_PER_CENT

    async def cut(self) -> None:
        self._payments.line.up = False
        self._payments.break_off()

    async def mend(self) -> None:
        self._payments.line.up = True

    async def lose_reply(self) -> None:
        self._payments.line.lose_reply("open")

    async def expire(self, opened: Opened) -> None:
        self._payments.expire(opened.ref)

    async def repeat(self, opened: Opened) -> None:
        self._payments.tell(self._paid[opened.ref])

    async def pay_stranger(self) -> None:
        currency = self._payments.currency
        ref = "f" * 64
        self._payments.tell(Settled(ref, 1_000) if currency is None else PriceSettled(ref, Fiat(currency, 100)))

    async def reverse(self, opened: Opened, amount: int, *, returned: bool) -> tuple[Mapping[str, str], bytes]:
        cents = amount // MSAT_PER_CENT
        return self._payments.called_back(opened.ref, cents, reversal=f"of {opened.ref}", returned=returned)

    def webhook(self, opened: Opened) -> tuple[Mapping[str, str], bytes]:
        return self._payments.called_back(opened.ref)


class ScriptedPayee(Payee):
    """Is paid by a `ScriptedPayouts`."""

    can = frozenset(
        {Can.CUT, Can.LOSE, Can.STRANGER, Can.HOLD, Can.REFUSE, Can.FEE, Can.AMOUNTLESS, Can.ADDRESS},
    )
    wrong = ("bitcoin:" + "0" * 64 + ":1000:9999999999",)

    def __init__(self, payouts: ScriptedPayouts) -> None:
        self._payouts = payouts

    def provider(self) -> ScriptedPayouts:
        return self._payouts

    async def invoice(self, amount: int | None) -> str:
        return self._payouts.invoice(amount)

    async def received(self, ref: str) -> int:
        if not isinstance(await ScriptedPayouts.lookup(self._payouts, ref), Paid):
            return 0
        return sum(payment.amount for payment in self._payouts.left if payment.ref == ref)

    async def address(self, *, known: bool = True) -> str:
        return "somebody@example.com" if known else "nobody@example.com"

    async def cut(self) -> None:
        self._payouts.line.up = False

    async def mend(self) -> None:
        self._payouts.line.up = True

    async def lose_reply(self) -> None:
        self._payouts.line.lose_reply("pay")

    async def hold(self) -> None:
        self._payouts.in_flight = True

    async def take(self, ref: str) -> None:
        self._payouts.finish(ref, Paid(0))

    async def send_back(self, ref: str) -> None:
        self._payouts.finish(ref, Failed("It has come back."))

    async def refuse(self) -> None:
        self._payouts.fails = "There is no way."

    async def charge(self, fee: int) -> None:
        self._payouts.fee = fee

    async def pay_stranger(self) -> str:
        return self._payouts.paid_by_others(1_000)
