"""What must come of a payout provider in the books, through the core's own payouts: what has left is gone once, and
what has not is back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lightphon_core.payments.payout import PayoutState
from lightphon_core.testing.books import Books
from lightphon_core.testing.sides import Can, Payee
from lightphon_core.testing.till import ENDED, Till, open_till


def funded(payee: Payee, books: Books) -> int:
    """The account has enough for some payouts. How much."""
    books.fund(payee.provider().name, payee.amount * 20)
    return payee.amount * 20


async def books_paid(payee: Payee, books: Books) -> None:
    """Paid: the amount has left, and the fee besides. To an address too."""
    had = funded(payee, books)
    async with open_till(books, payee) as till:
        spent = await till.is_paid(await till.ask())
        if Can.ADDRESS in payee.can:
            spent += await till.is_paid(await till.ask(await payee.address()))
    books.hold(had - spent)


async def books_failed(payee: Payee, books: Books) -> None:
    """Failed, or too dear: all of it is back."""
    had = funded(payee, books)
    async with open_till(books, payee) as till:
        if Can.FEE in payee.can and not till.provider.least_fee_cap(payee.amount):
            await payee.charge(10 * payee.amount)
            await _comes_to_nothing(till)
            await payee.charge(0)
        if Can.REFUSE in payee.can:
            await payee.refuse()
            await _comes_to_nothing(till)
    books.hold(had)


async def _comes_to_nothing(till: Till) -> None:
    failed = await till.ends(await till.ask(), PayoutState.FAILED)
    assert failed.reason, "whoever withdraws is told why it failed"
    assert failed.ref is not None, "an invoice has its ref"
    assert await till.payee.received(failed.ref) == 0, "what has failed has not arrived"


async def books_in_flight(payee: Payee, books: Books) -> None:
    """Under way, it is neither gone nor back, for as long as it takes; a restart in between changes nothing."""
    if Can.HOLD not in payee.can:
        return
    had = funded(payee, books)
    await payee.hold()
    async with open_till(books, payee) as till:
        payouts = [await till.ask() for _ in range(2)]
        await till.turn()
    async with open_till(books, payee) as till:
        await till.turn()
        for payout in payouts:
            found = await till.again(payout)
            assert found.state not in ENDED, f"a payment in flight has not ended, and not as {found.state}"
        good, bad = [payout.ref for payout in payouts]
        assert good is not None, "an invoice has its ref"
        assert bad is not None, "an invoice has its ref"
        await payee.take(good)
        await payee.send_back(bad)
        spent = await till.is_paid(payouts[0])
        await till.ends(payouts[1], PayoutState.FAILED)
    books.hold(had - spent)


async def books_lost_reply(payee: Payee, books: Books) -> None:
    """Sent, and nobody heard of it: found to be paid, once."""
    if Can.LOSE not in payee.can:
        return
    had = funded(payee, books)
    async with open_till(books, payee) as till:
        payout = await till.ask()
        await payee.lose_reply()
        spent = await till.is_paid(payout)
    books.hold(had - spent)


async def books_cut(payee: Payee, books: Books) -> None:
    """A wallet that is gone while others wait for it: what was never sent is back or still set aside, and does not
    arrive; what was under way is found again."""
    if Can.CUT not in payee.can:
        return
    had = funded(payee, books)
    async with open_till(books, payee) as till:
        payout = await till.ask()
        await payee.cut()
        await till.turn()
        await payee.mend()
        await till.turn()
        found = await till.again(payout)
        assert found.state is not PayoutState.PAID, "what the wallet was never asked to pay is not Paid"
        assert found.ref is not None, "an invoice has its ref"
        assert await payee.received(found.ref) == 0, "what the wallet was never asked to pay does not arrive"
        aside = 0 if found.state is PayoutState.FAILED else found.amount + found.fee_cap
        spent = await till.is_paid(await till.ask())
    books.hold(had - spent, aside=aside)


async def books_restored(payee: Payee, books: Books) -> None:
    """An old backup, restored after a payout: it is found again by what the wallet says, and so is what others sent."""
    had = funded(payee, books)
    backup = books.copy()
    async with open_till(books, payee) as till:
        payout = await till.ask()
        spent = await till.is_paid(payout)
    books.restore(backup)
    stranger = [await payee.pay_stranger()] if Can.STRANGER in payee.can else []
    async with open_till(books, payee) as till:
        unexplained = await till.reconciled()
        assert set(stranger) <= set(unexplained), "sent() lists what others sent, too"
        assert payout.ref not in unexplained, "sent() names a payout by its ref"
        assert await till.is_paid(payout) == spent, "a payout costs after a restore what it cost before"
    books.hold(had - spent)


InBooks = Callable[[Payee, Books], Awaitable[None]]
CHECKS: list[InBooks] = [
    books_paid,
    books_failed,
    books_in_flight,
    books_lost_reply,
    books_cut,
    books_restored,
]
