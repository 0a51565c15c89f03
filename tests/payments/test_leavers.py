"""Deposits of somebody who has deleted the account: none is opened, and what is paid all the same is kept."""

import pytest

from lightphon_core.accounts.people import delete_account
from lightphon_core.errors import Unauthenticated
from lightphon_core.ledger.chart import ADJUSTMENTS
from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.deposit import Status


def leave(desk):
    with desk.database.transaction() as connection:
        delete_account(connection, desk.account)


def duties(desk):
    """What keeps the account, by the test's clock."""
    with pytest.MonkeyPatch.context() as patch, desk.database.snapshot() as connection:
        patch.setattr(store, "database_now", lambda _: round(desk.clock.at * 1_000_000))
        return store.duties(connection, desk.account)


async def test_none_is_opened(desk):
    leave(desk)
    with pytest.raises(Unauthenticated):
        await desk.open()
    assert desk.provider.asked == []
    with desk.database.snapshot() as connection:
        assert store.deposits_of(connection, desk.account, limit=1) == []


async def test_one_that_is_open_keeps_its_account(make_desk):
    desk = make_desk(expiry_s=600)
    assert duties(desk) == []
    deposit = await desk.open()
    assert "open" in duties(desk)[0]
    desk.clock.at += 601  # it may have been paid a moment ago, and nobody has heard of it
    assert "open" in duties(desk)[0]
    await desk.look()
    assert (await desk.again(deposit)).status is Status.EXPIRED
    assert duties(desk) == []


async def test_one_whose_provider_is_silent_keeps_it_for_some_minutes(make_desk):
    desk = make_desk(expiry_s=600)
    await desk.open()
    desk.clock.at += 600 + 14 * 60
    assert duties(desk)
    desk.clock.at += 2 * 60
    assert duties(desk) == []


async def test_what_is_paid_late_is_the_operators_to_give(desk, capfd):
    deposit = await desk.open(5_000)
    leave(desk)
    desk.provider.pay(deposit.ref)
    desk.watch.look_soon(deposit)
    await desk.look()
    assert (await desk.again(deposit)).received == 5_000
    assert desk.balances() == {"clearing:scripted": -5_000, ADJUSTMENTS: 5_000}
    assert deposit.id in (said := capfd.readouterr().err)
    assert "is gone" in said
    desk.watch.look_soon(deposit)
    await desk.look()
    assert desk.balances()[ADJUSTMENTS] == 5_000
