"""Automatic payouts: all that can be withdrawn, whenever it is enough."""

import asyncio

import pytest

from lightphon_core.errors import InvalidRequest, NotFound
from lightphon_core.ledger.chart import Origin
from lightphon_core.payments.payouts.automatic import rest_s
from lightphon_core.payments.payouts.payout import PayoutState, most_affordable

ADDRESS = "alice@example.org"


@pytest.fixture
def till(new_till):
    return new_till(fee=1_000, automatic_least=50_000, fee_bps=100)


async def minute(till):
    till.clock.at += 60
    await till.runner.pay_automatically()
    await till.turn()


async def latest(till):
    found = await till.payouts.list(account=till.account, limit=50)
    return [(each.state.value, each.amount) for each in found]


class TestSettingItUp:
    async def test_destination_and_threshold(self, till):
        for destination, threshold in ((till.invoice(50), 50_000), ("nonsense", 50_000), (ADDRESS, 49_999)):
            with pytest.raises(InvalidRequest):
                await till.payouts.set_automatic(till.account, destination, threshold)
        with pytest.raises(NotFound):
            await till.payouts.automatic(till.account)
        made = await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        assert await till.payouts.automatic(till.account) == made
        changed = await till.payouts.set_automatic(till.account, "other@example.org", 60_000)
        assert await till.payouts.automatic(till.account) == changed
        with pytest.raises(NotFound):
            await till.payouts.automatic(till.other)
        await till.payouts.remove_automatic(till.account)
        with pytest.raises(NotFound):
            await till.payouts.remove_automatic(till.account)


class TestPaying:
    async def test_from_the_threshold_on_all_but_what_fees_need(self, till):
        await till.payouts.set_automatic(till.account, ADDRESS, 200_000)
        till.fund(199, origin=Origin.EARNED)
        till.fund(1_000, origin=Origin.GRANTED)
        await minute(till)
        assert await latest(till) == []
        till.fund(1, origin=Origin.EARNED)
        await minute(till)
        # 188 sats, and 10 and 1 % for fees: 199.88
        assert await latest(till) == [("paid", 188_000)]
        assert till.books()["wallet:alice:earned"] == 11_000
        (payout,) = await till.payouts.list(account=till.account, limit=2)
        assert payout.automatic
        await minute(till)
        assert len(await latest(till)) == 1

    def test_the_most_that_is_affordable(self, till):
        for available in (0, 999, 10_999, 11_000, 11_009, 11_010, 199_999, 10**14 + 7):
            amount = most_affordable(till.provider, till.payouts.settings, available)
            assert amount % 1_000 == 0
            assert not amount or amount + 10_000 + amount // 100 <= available
            assert amount + 1_000 + 10_000 + (amount + 1_000) // 100 > available

    async def test_one_at_a_time(self, till):
        await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        till.fund(100)
        till.provider.in_flight = True
        await minute(till)
        till.fund(100)
        await minute(till)
        assert await latest(till) == [("unknown", 89_000)]

    async def test_two_servers(self, till, new_till):
        other = new_till(till.provider, automatic_least=50_000, fee_bps=100)
        await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        till.fund(1_000)
        till.clock.at += 60
        await asyncio.gather(till.runner.pay_automatically(), other.runner.pay_automatically())
        assert len(await latest(till)) == 1

    async def test_what_the_limits_leave(self, new_till):
        till = new_till(automatic_least=50_000, daily=70_500)
        await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        till.fund(1_000)
        await minute(till)
        assert await latest(till) == [("paid", 70_000)]
        await minute(till)
        trouble = (await till.payouts.automatic(till.account)).trouble
        assert "in 24 hours" in trouble

    async def test_switched_off(self, new_till):
        till = new_till(automatic_least=50_000)
        await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        till.fund(1_000)
        off = new_till(till.provider, enabled=False)
        await minute(off)
        assert await latest(till) == []


class TestTrouble:
    async def test_is_shown_and_tried_again_later_and_later(self, till):
        await till.payouts.set_automatic(till.account, "nobody@example.org", 50_000)
        till.fund(1_000)
        tries = []
        for number in range(8 * 60):
            await minute(till)
            if len(await latest(till)) > len(tries):
                tries.append(number)
        assert tries == [0, 60, 180, 420]
        assert (await till.payouts.automatic(till.account)).trouble == "There is nobody of this name."
        assert till.books()["wallet:alice:lightning"] == 1_000_000
        await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        assert (await till.payouts.automatic(till.account)).trouble is None
        await minute(till)
        assert (await latest(till))[0][0] == PayoutState.PAID

    async def test_what_failed_before_one_that_was_paid_is_forgotten(self, till):
        await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        till.fund(500)
        tries = []
        for number in range(5 * 60):
            till.provider.fails = None if len(tries) == 2 else "There is no way."
            await minute(till)
            if len(await latest(till)) > len(tries):
                tries.append(number)
                if len(tries) == 3:
                    till.fund(500)
        assert tries == [0, 60, 180, 181, 241]

    async def test_what_was_refused_is_asked_for_again_after_an_hour(self, new_till):
        till = new_till(automatic_least=50_000, daily=50_000)
        till.fund(1_000)
        await till.ask(till.invoice(50))
        await till.turn()
        await till.payouts.set_automatic(till.account, ADDRESS, 50_000)
        await minute(till)
        first = await till.payouts.automatic(till.account)
        assert "0 sats are left" in first.trouble
        await minute(till)
        assert await till.payouts.automatic(till.account) == first
        till.clock.at += 86_400
        await minute(till)
        assert await latest(till) == [("paid", 50_000), ("paid", 50_000)]

    def test_rests(self):
        assert [rest_s(failures) for failures in (0, 1, 2, 5, 6, 20)] == [3_600, 3_600, 7_200, 57_600, 86_400, 86_400]
