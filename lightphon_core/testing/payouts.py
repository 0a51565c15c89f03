"""What every `PayoutProvider` must do. Money that has left must never be taken for money that is still there: that
would be given back, and be gone twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve

from lightphon_core.errors import NotSent, ProviderUnavailable
from lightphon_core.testing import withdrawals
from lightphon_core.testing.books import books_in
from lightphon_core.testing.payment_steps import like
from lightphon_core.testing.payout_destinations import check_name, check_read, check_read_alone, check_resolve
from lightphon_core.testing.payout_steps import staged
from lightphon_core.testing.promises import answer, nothing_blocks, overhearing, until
from lightphon_core.testing.sides import Can, Payee
from lightphon_core.testing.withdrawals import InBooks
from lightphon_core.types import Failed, InFlight, NotKnown, Outgoing, Paid

SKEW_S = 60.0
"""How far the wallet's clock may be from ours, and its seconds from whole ones."""


async def check_paid(payee: Payee) -> None:
    """A payment arrives once, is Paid with what it cost, and stays so; after a restart too."""
    async with staged(payee) as stage:
        payment = await stage.payment()
        state = await stage.paid(payment, await stage.pay(payment))
    async with staged(payee) as stage:
        found = await stage.look(payment.ref)
        assert found == state, f"after a restart, what was paid still is {state!r}, and not {found!r}"


async def check_once(payee: Payee) -> None:
    """Whoever asks twice pays once, one after the other or both at once, and is never told that it has failed."""
    async with staged(payee) as stage:
        payment = await stage.payment()
        answers = [await stage.pay(payment), await stage.pay(payment), await stage.pay(evolve(payment, payout="pay_2"))]
        for each in answers:
            await stage.paid(payment, each)
    async with staged(payee) as stage:
        await stage.paid(payment, await stage.pay(payment))
        payment = await stage.payment()
        for each in await asyncio.gather(*(stage.pay(payment) for _ in range(3))):
            await stage.paid(payment, each)


async def check_failed(payee: Payee) -> None:
    """What the network does not let through has failed, with a reason, and nothing has arrived."""
    if Can.REFUSE not in payee.can:
        return
    async with staged(payee) as stage:
        await payee.refuse()
        payment = await stage.payment()
        state = await stage.pay(payment)
        if not isinstance(state, Failed):
            state = await stage.ends(payment.ref, "a payment that cannot arrive ends as Failed")
        assert isinstance(state, Failed), f"a payment that cannot arrive is Failed, not {state!r}"
        assert state.reason, "whoever asked is told why"
        found = await stage.look(payment.ref)
        assert isinstance(found, Failed | NotKnown), f"what has failed is not {found!r} afterwards"
        assert await stage.arrived(payment) == 0, "what has failed has not arrived"


async def check_fee_cap(payee: Payee) -> None:
    """Within the cap a payment costs what it costs; what would cost more fails."""
    if Can.FEE not in payee.can:
        return
    async with staged(payee) as stage:
        least = stage.provider.least_fee_cap(payee.amount)
        fee = max(-(-least // 1_000) * 1_000, 3_000)  # whole sats: some wallets know no less
        await payee.charge(fee)
        payment = await stage.payment(fee_cap=fee)
        state = await stage.paid(payment, await stage.pay(payment))
        assert state.fee == fee, f"the fee is what it cost, {fee} msat, and not {state.fee}"
        if least:
            return
        payment = await stage.payment(fee_cap=fee - 1_000)
        answered = await stage.pay(payment)
        if not isinstance(answered, Failed):
            answered = await stage.ends(payment.ref, "a payment that costs too much ends as Failed")
        assert isinstance(answered, Failed), f"a payment costs no more than its cap, and is not {answered!r}"
        assert await stage.arrived(payment) == 0, "a payment that would cost more than its cap does not leave"


async def check_in_flight(payee: Payee) -> None:
    """What takes longer is in flight, whoever asks, until it has arrived or has come back; after a restart too."""
    if Can.HOLD not in payee.can:
        return
    await payee.hold()
    async with staged(payee) as stage:
        payments = [await stage.payment() for _ in range(2)]
        for payment in payments:
            begun = await stage.pay(payment)
            assert isinstance(begun, InFlight | ProviderUnavailable), f"a payment under way is InFlight, not {begun!r}"
            assert not isinstance(begun, NotSent), "a payment under way was sent"
            found = await stage.look(payment.ref)
            assert found == InFlight(), f"a payment under way is looked up as InFlight, not {found!r}"
    async with staged(payee) as stage:
        for payment in payments:
            found = await stage.look(payment.ref)
            assert found == InFlight(), f"a payment under way is still InFlight after a restart, and not {found!r}"
            again = await stage.pay(payment)
            assert isinstance(again, InFlight | ProviderUnavailable), f"it is under way already, and not {again!r}"
            assert not isinstance(again, NotSent), "a payment under way was sent"
        good, bad = payments
        await payee.take(good.ref)
        await payee.send_back(bad.ref)
        await stage.paid(good, await stage.look(good.ref))
        state = await stage.ends(bad.ref, "a payment that has come back ends as Failed")
        assert isinstance(state, Failed), f"a payment that has come back is Failed, not {state!r}"
        assert await stage.arrived(bad) == 0, "what has come back has not arrived"


async def check_lost_reply(payee: Payee) -> None:
    """Where the reply to pay() is lost, nobody knows, or knows it right: and looking it up tells."""
    if Can.LOSE not in payee.can:
        return
    async with staged(payee) as stage:
        payment = await stage.payment()
        await payee.lose_reply()
        await stage.paid(payment, await stage.pay(payment))


async def check_cut(payee: Payee) -> None:
    """A wallet that cannot be reached says nothing of a payment: that is neither Failed nor NotKnown. What was NotSent
    does not arrive later."""
    if Can.CUT not in payee.can:
        return
    async with staged(payee) as stage:
        paid, unsent = await stage.payment(), await stage.payment()
        state = await stage.paid(paid, await stage.pay(paid))
        await payee.cut()
        error = await stage.pay(unsent)
        assert isinstance(error, ProviderUnavailable), f"a wallet that cannot be reached has not said {error!r}"
        looked = await stage.look(paid.ref)
        assert isinstance(looked, ProviderUnavailable), f"a wallet that cannot be reached has not said {looked!r}"
        sent = await answer(stage.provider.sent(0), "sent()", ProviderUnavailable)
        assert isinstance(sent, ProviderUnavailable), f"a wallet that cannot be reached has not said {sent!r}"
        await payee.mend()
        promise = "a wallet that is there again is heard again"
        found = await until(lambda: stage.look(paid.ref), lambda f: not isinstance(f, ProviderUnavailable), promise)
        assert found == state, f"what was paid still is {state!r}, and not {found!r}"
        if isinstance(error, NotSent):
            assert await stage.look(unsent.ref) == NotKnown(), "what was NotSent is not known to the wallet"
            assert await stage.arrived(unsent) == 0, "what was NotSent does not arrive"
            await stage.paid(unsent, await stage.pay(unsent))


async def check_unknown(payee: Payee) -> None:
    """What the wallet was never asked to pay is NotKnown."""
    async with staged(payee) as stage:
        payment = await stage.payment()
        for ref in (payment.ref, like(payment.ref)):
            found = await stage.look(ref)
            assert found == NotKnown(), f"what the wallet was never asked to pay is NotKnown, not {found!r}"


async def check_sent(payee: Payee) -> None:
    """What was sent is listed, with its amount and when, what others sent too; and nothing that was sent before."""
    async with staged(payee) as stage:
        before = time.time()
        payment, unpaid = await stage.payment(), await stage.payment()
        await stage.paid(payment, await stage.pay(payment))
        listed = await stage.outgoing(before - SKEW_S)
        assert payment.ref in listed, "what was sent is listed"
        assert unpaid.ref not in listed, "what was not sent is not listed"
        found = listed[payment.ref]
        assert isinstance(found, Outgoing)
        assert found.amount == payment.amount, f"the amount is {payment.amount} msat, not {found.amount}"
        assert isinstance(found.state, Paid), f"what has arrived is listed as Paid, not {found.state!r}"
        assert before - SKEW_S <= found.at <= time.time() + SKEW_S, "it was begun now, in seconds since 1970"
        assert not await stage.outgoing(time.time() + 2 * SKEW_S), "what was begun before is left out"
        if Can.STRANGER in payee.can:
            ref = await payee.pay_stranger()
            assert ref in await stage.outgoing(before - SKEW_S), "what others sent from the wallet is listed too"


async def check_manners(payee: Payee) -> None:
    """No secret is shown, by whatever happens; and nobody else waits while one payment does."""
    with overhearing() as ear:
        provider = payee.provider()
        with nothing_blocks():
            await provider.start()
            await answer(provider.lookup("0" * 64), "lookup()", ProviderUnavailable)
        ear.see(provider)
        async with staged(payee) as stage:
            payment = await stage.payment()
            with nothing_blocks():
                answered = await stage.pay(payment)
            ear.see(await stage.paid(payment, answered))
            if Can.CUT in payee.can:
                await payee.cut()
                for shown in (await stage.pay(payment), await stage.look(payment.ref)):
                    ear.see(shown)
                ear.see(await answer(stage.provider.sent(0), "sent()", ProviderUnavailable))
                await payee.mend()
        await provider.stop()
    for number, secret in enumerate(payee.secrets):
        assert ear.hides(secret), f"a secret is shown to nobody: not in a repr, an error or the log (secrets[{number}])"


Check = Callable[[Payee], Awaitable[None]]
CHECKS: list[Check] = [
    check_name,
    check_read,
    check_read_alone,
    check_resolve,
    check_paid,
    check_once,
    check_failed,
    check_fee_cap,
    check_in_flight,
    check_lost_reply,
    check_cut,
    check_unknown,
    check_sent,
    check_manners,
]


class PayoutProviderContract:
    """Subclass it in a test file, and give the fixture `payee`: over a wallet that nobody else uses meanwhile, and that
    holds enough for some payments of `payee.amount`."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(self, check: Check, payee: Payee) -> None:
        """One promise of the port."""
        await check(payee)

    @pytest.mark.parametrize("check", withdrawals.CHECKS, ids=lambda check: check.__name__)
    async def test_books(self, check: InBooks, payee: Payee, tmp_path: Path) -> None:
        """One promise of what comes of it in the ledger."""
        await check(payee, books_in(tmp_path))
