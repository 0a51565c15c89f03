"""What a provider with a currency pushes reaches the books, whatever it says of it."""

import asyncio
from decimal import Decimal

import pytest

from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.types import Fiat, NewDeposit, Origin, PriceSettled, Settled

PRICE = Fiat("EUR", 1_000)
CREDIT = 100_000


@pytest.fixture
def card(make_desk):
    return make_desk(ScriptedPayments("card", currency="EUR", origin=Origin.CARD))


async def opened(desk):
    """A deposit at its provider, and here."""
    at = round(desk.clock.at * 1e6)
    new = NewDeposit(f"dep_{len(desk.provider.asked)}", CREDIT, "", 3_600, PRICE)
    made = Deposit(
        new.id, desk.account, "card", Status.CREATING, CREDIT, None, None, {}, at, at, None, PRICE, Decimal(9)
    )
    answer = await desk.provider.open(new)
    assert set(answer.pay) == {"checkout_url"}
    with desk.database.transaction() as connection:
        store.add_deposit(connection, made)
        return store.mark_open(connection, made.id, answer, at + 3_600_000_000)


async def heard(desk, events):
    """Listen until so many events were told."""
    listening = asyncio.create_task(desk.watch.listen())
    async with asyncio.timeout(10):
        while desk.deposits.told < events:
            await asyncio.sleep(0)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@pytest.fixture(autouse=True)
def count_what_is_told(card, monkeypatch):
    tell, card.deposits.told = card.deposits.tell, 0

    async def counted(provider, event):
        recorded = await tell(provider, event)
        card.deposits.told += 1
        return recorded

    monkeypatch.setattr(card.deposits, "tell", counted)


async def test_paid_refunded_and_disputed_backwards(card):
    deposit = await opened(card)
    card.provider.hold_events()
    card.provider.pay(deposit.ref)
    card.provider.reverse(deposit.ref, "re_1", 300)
    card.provider.reverse(deposit.ref, "dp_1", 1_000)
    card.provider.reverse(deposit.ref, "dp_1", 1_000, returned=True)
    card.provider.release_events(backwards=True)
    await heard(card, 4)
    found = await card.again(deposit)
    assert (found.status, found.received, found.clawed_back) == (Status.SETTLED, CREDIT, 30_000)
    assert card.balances() == {"clearing:card": -70_000, f"wallet:{card.account}:card": 70_000}
    card.provider.reverse(deposit.ref, "re_2", 700)
    await heard(card, 5)
    assert (await card.again(deposit)).status is Status.REVERSED
    assert card.balances() == {}


@pytest.mark.parametrize("wrong", [PriceSettled("", Fiat("EUR", 999)), Settled("", CREDIT)])
async def test_what_cannot_be_credited_is_asked_about_hourly(card, wrong):
    deposit = await opened(card)
    asked = []

    async def lookup(ref):
        asked.append(ref)
        return type(wrong)(ref, *[getattr(wrong, name) for name in wrong.__match_args__[1:]])

    card.provider.lookup = lookup
    for seconds, times in ((0, 1), (61, 1), (3_600, 2)):
        card.clock.at += seconds
        await card.look()
        assert len(asked) == times
    assert (await card.again(deposit)).status is Status.EXPIRED
    assert card.balances() == {}
    card.provider.lookup = lambda ref: asyncio.sleep(0, PriceSettled(ref, PRICE))
    card.clock.at += 3_600
    await card.look()
    assert (await card.again(deposit)).status is Status.SETTLED
