"""What LND, Core Lightning and phoenixd have in common, each against a server that speaks as it does."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import pytest
from lightphon_payment_lightning.invoices import decode
from lightphon_payment_lightning.testing.cln import ClnServer
from lightphon_payment_lightning.testing.node import invoice_over
from lightphon_payment_lightning.testing.rigs import KINDS, Rig, rig_of
from lightphon_payment_lightning.wallets.asking import afterwards
from lightphon_payment_lightning.wallets.cln import Cln
from lightphon_payment_lightning.wallets.lnd import Lnd
from lightphon_payment_lightning.wallets.phoenixd import Phoenixd
from lightphon_payment_lightning.wallets.wallet import Wallet

from lightphon_core import (
    Event,
    Failed,
    Gone,
    InFlight,
    NewDeposit,
    NotKnown,
    NotSent,
    Paid,
    Payment,
    ProviderUnavailable,
    Settled,
    Waiting,
)

AMOUNT = 21_000
CAP = 50_000
UNKNOWN = "ab" * 32


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig_of(request.param) as rig:
        yield rig


@pytest.fixture
async def wallet(rig: Rig) -> AsyncIterator[Wallet]:
    wallet = rig.wallet()
    await wallet.start()
    yield wallet
    await wallet.stop()


def deposit(number: int = 1, amount: int = AMOUNT) -> NewDeposit:
    return NewDeposit(f"dep_{number}", amount, "A wallet at LightPhon", 600)


def payment(amount: int = AMOUNT, fee_cap: int = CAP) -> Payment:
    ref, text = invoice_over(amount)
    return Payment("pay_1", ref, text, amount, fee_cap)


async def new_ref(wallet: Wallet, number: int = 1) -> str:
    return decode(await wallet.invoice(deposit(number))).invoice.ref


async def first(wallet: Wallet, cursor: str | None, count: int) -> list[Event]:
    """The first so many events after `cursor`."""
    found: list[Event] = []
    async with asyncio.timeout(10), aclosing(wallet.settlements(cursor)) as events:
        while len(found) < count:
            found.append(await anext(events))
    return found


async def test_an_invoice_is_over_the_amount_with_the_memo_and_the_expiry(rig: Rig, wallet: Wallet) -> None:
    found = decode(await wallet.invoice(deposit(amount=1_234_567_000))).invoice
    assert found.amount == 1_234_567_000
    assert abs(found.expires_at - time.time() - 600) < 60
    assert rig.node.receivables[found.ref].memo == "A wallet at LightPhon"


async def test_a_deposit_waits_is_settled_with_what_came_or_is_gone(rig: Rig, wallet: Wallet) -> None:
    paid, over, expired = [await new_ref(wallet, number) for number in range(3)]
    assert await wallet.received(paid) == Waiting()
    rig.node.receive(paid)
    rig.node.receive(over, AMOUNT + 7_000)
    rig.node.expire(expired)
    assert await wallet.received(paid) == Settled(paid, AMOUNT)
    assert await wallet.received(over) == Settled(over, AMOUNT + 7_000)
    assert await wallet.received(expired) == Gone()
    assert await wallet.received(UNKNOWN) == Gone()


async def hear(rig: Rig, events: AsyncGenerator[Event, None], act: Callable[[], object]) -> Event:
    """The next event, which comes of what is done once somebody listens."""
    waiting = asyncio.ensure_future(anext(events))
    try:
        async with asyncio.timeout(10):
            await rig.listened_to()
            act()
            return await waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_what_is_paid_is_heard_at_once_and_what_was_paid_before_the_first_start_is_not(
    rig: Rig, wallet: Wallet
) -> None:
    for number in range(3):
        rig.node.receive(await new_ref(wallet, number)).paid_at -= 86_400
    ref = await new_ref(wallet, 9)
    async with aclosing(wallet.settlements(None)) as events:
        assert (await anext(events)).change is None, "the first event says where we begin"
        event = await hear(rig, events, lambda: rig.node.receive(ref))
        assert event.change == Settled(ref, AMOUNT)


@pytest.mark.parametrize("cursor", ["another:999999", None])
async def test_the_first_payment_of_a_wallet_is_heard(rig: Rig, wallet: Wallet, cursor: str | None) -> None:
    ref = await new_ref(wallet)
    async with aclosing(wallet.settlements(cursor)) as events:
        assert (await anext(events)).change is None
        event = await hear(rig, events, lambda: rig.node.receive(ref))
        assert event.change == Settled(ref, AMOUNT)


@pytest.mark.parametrize(("before", "count"), [(0, 102), (2, 3)], ids=["more than a page", "after others"])
async def test_what_is_paid_while_nobody_listens_is_heard_later_in_its_order(
    rig: Rig, wallet: Wallet, before: int, count: int
) -> None:
    for number in range(before):
        rig.node.receive(await new_ref(wallet, number)).paid_at -= 86_400
    (start,) = await first(wallet, None, 1)
    refs = [await new_ref(wallet, 10 + number) for number in range(count)]
    for ref in reversed(refs):
        rig.node.receive(ref)
    missed = await first(wallet, start.cursor, count)
    assert [each.change for each in missed] == [Settled(ref, AMOUNT) for ref in reversed(refs)]


async def test_whoever_begins_at_a_cursor_misses_nothing_that_came_after_it(rig: Rig, wallet: Wallet) -> None:
    refs = [await new_ref(wallet, number) for number in range(5)]
    (start,) = await first(wallet, None, 1)
    for ref in refs[:3]:
        rig.node.receive(ref)
    heard = await first(wallet, start.cursor, 3)
    rig.node.receive(refs[3])
    seen: set[object] = set()
    async with aclosing(wallet.settlements(heard[1].cursor)) as events, asyncio.timeout(10):
        while not {Settled(ref, AMOUNT) for ref in refs[2:4]} <= seen:
            seen.add((await anext(events)).change)
        event = await hear(rig, events, lambda: rig.node.receive(refs[4]))
        assert event.change == Settled(refs[4], AMOUNT)


async def test_a_stream_that_breaks_off_ends_and_goes_on_where_it_was(rig: Rig, wallet: Wallet) -> None:
    rig.node.receive(await new_ref(wallet)).paid_at -= 86_400
    (start,) = await first(wallet, None, 1)
    ref = await new_ref(wallet, 2)
    async with aclosing(wallet.settlements(start.cursor)) as events:
        waiting = asyncio.ensure_future(anext(events))
        async with asyncio.timeout(10):
            await rig.listened_to()
            await rig.server.refuse()
            with pytest.raises((ProviderUnavailable, StopAsyncIteration)):
                await waiting
    rig.node.receive(ref)
    await rig.server.listen()
    (missed,) = await first(wallet, start.cursor, 1)
    assert missed.change == Settled(ref, AMOUNT)


async def test_a_payment_is_paid_and_costs_its_fee_to_the_msat(rig: Rig, wallet: Wallet) -> None:
    rig.node.fee = 1_234
    asked = payment()
    assert await wallet.payment(asked.ref) == NotKnown()
    assert await wallet.pay(asked) == Paid(1_234)
    assert await wallet.payment(asked.ref) == Paid(1_234)
    assert rig.node.sent[asked.ref].amount == AMOUNT


async def test_a_payment_that_was_paid_before_is_paid_and_not_once_more(rig: Rig, wallet: Wallet) -> None:
    asked = payment()
    assert await wallet.pay(asked) == Paid(1_000)
    rig.node.fee = 5_000
    assert await wallet.pay(asked) == Paid(1_000)
    assert len(rig.node.sent) == 1


async def test_a_payment_that_fails_has_failed_with_a_reason_of_ours(rig: Rig, wallet: Wallet) -> None:
    rig.node.fails = True
    asked = payment()
    state = await wallet.pay(asked)
    assert isinstance(state, Failed)
    assert "gateway" not in state.reason
    assert asked.invoice not in state.reason


@pytest.mark.parametrize("end", ["paid", "failed"])
async def test_a_payment_that_is_held_is_in_flight_until_it_ends(rig: Rig, wallet: Wallet, end: str) -> None:
    rig.node.holds = True
    asked = payment()
    assert await wallet.pay(asked) == InFlight()
    assert await wallet.payment(asked.ref) == InFlight()
    assert await wallet.pay(asked) == InFlight()
    rig.node.end(asked.ref, end)
    if end == "paid":
        assert await wallet.payment(asked.ref) == Paid(1_000)
    elif not isinstance(rig.server, ClnServer):  # which may be about to try again: see its own tests
        assert isinstance(await wallet.payment(asked.ref), Failed)


async def test_whoever_gets_no_answer_does_not_know_and_can_ask(rig: Rig, wallet: Wallet) -> None:
    asked = payment()
    rig.server.loses_reply = True
    with pytest.raises(ProviderUnavailable) as lost:
        await wallet.pay(asked)
    assert not isinstance(lost.value, NotSent)
    assert await wallet.payment(asked.ref) == Paid(1_000)


async def test_a_refused_connection_is_not_sent_and_says_no_address(rig: Rig, wallet: Wallet) -> None:
    await rig.server.refuse()
    asked = payment()
    with pytest.raises(NotSent) as refused:
        await wallet.pay(asked)
    assert "127.0.0.1" not in str(refused.value)
    with pytest.raises(ProviderUnavailable):
        await wallet.payment(asked.ref)
    with pytest.raises(ProviderUnavailable):
        await wallet.payments(0)
    with pytest.raises(ProviderUnavailable):
        await wallet.invoice(deposit())
    await rig.server.listen()
    assert await wallet.pay(asked) == Paid(1_000)


async def test_a_wallet_that_goes_away_while_it_is_asked_was_asked(rig: Rig, wallet: Wallet) -> None:
    rig.node.holds = True
    asked = payment()
    assert isinstance(wallet, Lnd | Cln | Phoenixd)
    wallet.patience_s = 10
    paying = asyncio.ensure_future(wallet.pay(asked))
    async with asyncio.timeout(10):
        while asked.ref not in rig.node.sent:
            await asyncio.sleep(0)
    await rig.server.refuse()
    with pytest.raises(ProviderUnavailable) as gone:
        await paying
    assert not isinstance(gone.value, NotSent), "it may be on its way"


async def test_a_refused_connection_after_the_wallet_was_asked_is_not_not_sent(rig: Rig, wallet: Wallet) -> None:
    await rig.server.refuse()
    with pytest.raises(NotSent):
        await wallet.payment(UNKNOWN)
    with pytest.raises(ProviderUnavailable) as raised:
        await afterwards(wallet.payment(UNKNOWN))
    assert not isinstance(raised.value, NotSent)


async def test_all_that_was_sent_since_is_listed_whoever_asked_for_it(rig: Rig, wallet: Wallet) -> None:
    made = [payment(1_000 * (number + 1)) for number in range(105)]
    for each in made:
        rig.node.begin(each.invoice)
    for each in made[:100]:
        rig.node.sent[each.ref].at -= 10_000
    rig.node.holds = True
    held = payment()
    rig.node.begin(held.invoice)
    found = {each.ref: each for each in await wallet.payments(time.time() - 5_000)}
    assert set(found) == {each.ref for each in made[100:]} | {held.ref}
    assert found[made[-1].ref].amount == 105_000
    assert found[made[-1].ref].state == Paid(1_000)
    assert found[held.ref].state == InFlight()
    assert abs(found[held.ref].at - time.time()) < 60
    assert len(await wallet.payments(0)) == 106
