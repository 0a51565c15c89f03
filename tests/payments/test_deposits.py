"""Deposits: what is paid is credited, once, whichever way the news comes, and nothing else is."""

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from lightphon_core.errors import InvalidRequest, NotFound, ProviderUnavailable, RateLimited
from lightphon_core.money import MAX_MSAT
from lightphon_core.payments.deposits.deposit import Status, look_again_s
from lightphon_core.payments.deposits.record import cursor_of
from lightphon_core.storage.payment_tables import payment_events
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.types import Event, Settled


@asynccontextmanager
async def listening(desk):
    task = asyncio.create_task(desk.watch.listen())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(desk, deposit):
    """The deposit once nothing more is expected of it."""
    async with asyncio.timeout(10), aclosing(desk.deposits.followers.follow(deposit.account, deposit.id)) as states:
        async for state in states:
            deposit = state
    return deposit


class TestOpening:
    async def test_is_stored_before_the_provider_is_asked(self, desk):
        async def look(asked):
            kept.append(await desk.deposits.get(desk.account, asked.id))
            return await real(asked)

        kept, real = [], desk.provider.open
        desk.provider.open = look
        deposit = await desk.open(5_000)
        assert [each.status for each in kept] == [Status.CREATING]
        assert deposit.status is Status.OPEN
        assert deposit.pay["invoice"].startswith("scripted:")
        assert deposit.expires_at == kept[0].expires_at
        assert desk.balances() == {}

    @pytest.mark.parametrize("amount", [999, 3_000_001])
    async def test_amounts_that_the_operator_does_not_take(self, make_desk, amount):
        desk = make_desk(least=1_000, most=3_000_000)
        with pytest.raises(InvalidRequest, match="from 1 to 3000 sats") as refused:
            await desk.open(amount)
        assert refused.value.param == "amount_sats"
        assert desk.provider.asked == []

    async def test_amounts_that_the_provider_does_not_take(self, make_desk):
        desk = make_desk(ScriptedPayments(most=4_000))
        with pytest.raises(InvalidRequest, match="no such amount"):
            await desk.open(5_000)
        assert [each.status for each in await desk.deposits.list(desk.account, limit=9)] == [Status.FAILED]

    @pytest.mark.parametrize("how", ["refuse", "lose_reply"])
    async def test_a_provider_that_does_not_answer(self, desk, how):
        getattr(desk.provider.line, how)("open")
        with pytest.raises(ProviderUnavailable):
            await desk.open()
        (failed,) = await desk.deposits.list(desk.account, limit=9)
        assert failed.status is Status.FAILED
        assert failed.pay == {}

    async def test_a_fault_of_the_plugin_is_not_shown(self, desk):
        async def broken(_):
            raise ValueError("the macaroon is 0201036c6e64")

        desk.provider.open = broken
        with pytest.raises(ProviderUnavailable) as failed:
            await desk.open()
        assert "macaroon" not in failed.value.message

    async def test_two_deposits_under_one_ref(self, desk):
        first = await desk.open()
        opened = await desk.provider.open(desk.provider.asked[0])

        async def same(_):
            return opened

        desk.provider.open = same
        with pytest.raises(ProviderUnavailable):
            await desk.open()
        assert (await desk.again(first)).status is Status.OPEN

    async def test_only_so_many_are_open_at_once(self, make_desk):
        desk = make_desk(most_open=2, expiry_s=600)
        await desk.open()
        await desk.open()
        with pytest.raises(RateLimited, match="2 deposits") as refused:
            await desk.open()
        assert refused.value.retry_after == 600
        await desk.open(account=desk.others[0])
        desk.clock.at += 601
        await desk.open()

    async def test_names_of_providers(self, make_desk, database):
        desk = make_desk()
        with pytest.raises(InvalidRequest, match="no provider 'card'; there are: scripted"):
            await desk.deposits.open(desk.account, "card", 1_000)
        desk.deposits.providers = {}
        with pytest.raises(InvalidRequest, match="takes no deposits"):
            await desk.open()

    async def test_what_a_dead_server_left_creating_has_failed(self, desk):
        asked = asyncio.Event()

        async def never(_):
            asked.set()
            await asyncio.Event().wait()

        desk.provider.open = never
        opening = asyncio.create_task(desk.open())
        await asked.wait()
        (lost,) = await desk.deposits.list(desk.account, limit=9)
        desk.clock.at += 61
        await desk.look()
        assert (await desk.again(lost)).status is Status.FAILED
        opening.cancel()


class TestSettling:
    @pytest.mark.parametrize("received", [5_000, 1, 4_999, 10_000])
    async def test_what_has_come_is_credited(self, desk, received):
        deposit = await desk.open(5_000)
        async with listening(desk):
            desk.provider.pay(deposit.ref, received)
            settled = await ended(desk, deposit)
        assert settled.status is Status.SETTLED
        assert settled.received == received
        assert desk.balances() == {"clearing:scripted": -received, f"wallet:{desk.account}:lightning": received}

    async def test_every_way_at_once_and_again_credits_once(self, desk):
        deposit = await desk.open(5_000)
        settled = desk.provider.pay(deposit.ref)
        for _ in range(3):
            desk.provider.tell(settled)
        async with listening(desk):
            await asyncio.gather(
                desk.look(),
                *(desk.deposits.webhook("scripted", *desk.provider.called_back(deposit.ref)) for _ in range(3)),
            )
            await ended(desk, deposit)
        assert desk.wallet() == 5_000
        with desk.database.transaction() as connection:
            assert connection.execute(payment_events.select()).all() == [
                ("scripted", f"settled:{deposit.ref}", deposit.ref, 5_000, (await desk.again(deposit)).settled_at)
            ]

    async def test_news_backwards(self, desk):
        deposits = [await desk.open(1_000 * number) for number in (1, 2, 3)]
        desk.provider.hold_events()
        for deposit in deposits:
            desk.provider.pay(deposit.ref)
        desk.provider.release_events(backwards=True)
        async with listening(desk):
            for deposit in deposits:
                await ended(desk, deposit)
        assert desk.wallet() == 6_000

    async def test_paid_while_the_server_was_down(self, make_desk):
        desk = make_desk()
        first, second = await desk.open(1_000), await desk.open(2_000)
        desk.provider.pay(first.ref)
        async with listening(desk):
            await ended(desk, first)
        desk.provider.pay(second.ref)
        later = make_desk(desk.provider)
        async with listening(later):
            await ended(later, second)
        assert later.wallet() == 3_000
        assert desk.provider.cursors == [None, "1"]

    async def test_a_provider_that_pushes_nothing_is_asked(self, make_desk):
        desk = make_desk(ScriptedPayments(pushes=False))
        deposit = await desk.open(5_000)
        await desk.look()
        desk.provider.pay(deposit.ref)
        await desk.look()
        assert desk.wallet() == 0, "it was asked a moment ago"
        desk.clock.at += 0.5
        await desk.look()
        assert desk.wallet() == 5_000
        assert desk.provider.line.calls.count("lookup") == 2
        desk.clock.at += 100
        await desk.look()
        assert desk.provider.line.calls.count("lookup") == 2, "nothing more is to be learnt"

    async def test_lost_answers_are_asked_for_again(self, make_desk):
        desk = make_desk(ScriptedPayments(pushes=False))
        deposit = await desk.open(5_000)
        desk.provider.pay(deposit.ref)
        desk.provider.line.lose_reply("lookup")
        await desk.look()
        assert desk.wallet() == 0
        desk.clock.at += 0.5
        await desk.look()
        assert desk.wallet() == 5_000

    async def test_what_a_push_missed_is_found(self, desk):
        deposit = await desk.open(5_000)
        desk.provider.hold_events()
        desk.provider.pay(deposit.ref)
        await desk.look()
        assert desk.wallet() == 5_000

    async def test_late_payments_are_credited(self, make_desk):
        desk = make_desk(expiry_s=600)
        deposit = await desk.open(5_000)
        desk.clock.at += 601
        await desk.look()
        assert (await desk.again(deposit)).status is Status.EXPIRED
        assert (await ended(desk, deposit)).status is Status.EXPIRED
        desk.provider.pay(deposit.ref)
        desk.clock.at += 3_600
        await desk.look()
        assert (await desk.again(deposit)).status is Status.SETTLED
        assert desk.wallet() == 5_000

    async def test_what_is_gone_is_asked_about_hourly_and_still_credited_if_it_comes(self, desk):
        deposit = await desk.open(5_000)
        desk.provider.expire(deposit.ref)
        for seconds in (0, 61, 61, 3_400):  # the database is read anew each minute
            desk.clock.at += seconds
            await desk.look()
            assert desk.provider.line.calls.count("lookup") == 1
        assert (await desk.again(deposit)).status is Status.EXPIRED
        desk.provider.hold_events()
        desk.provider.pay(deposit.ref)
        desk.clock.at += 100
        await desk.look()
        assert desk.wallet() == 5_000

    async def test_two_servers_credit_once(self, make_desk):
        one = make_desk()
        two = make_desk(one.provider)
        deposit = await one.open(5_000)
        one.provider.pay(deposit.ref)
        async with listening(one), listening(two):
            await asyncio.gather(one.look(), two.look(), ended(one, deposit), ended(two, deposit))
        assert one.wallet() == 5_000

    async def test_a_stream_that_breaks_off_is_read_on_from_its_cursor(self, desk, monkeypatch):
        first, second = await desk.open(1_000), await desk.open(2_000)
        rests = []

        async def rest(seconds):
            rests.append(seconds)

        monkeypatch.setattr("lightphon_core.payments.deposits.watch.asyncio.sleep", rest)
        async with listening(desk):
            desk.provider.pay(first.ref)
            await ended(desk, first)
            desk.provider.break_off()
            desk.provider.pay(second.ref)
            await ended(desk, second)
        assert desk.wallet() == 3_000
        assert desk.provider.cursors[:2] == [None, "1"]
        assert rests[0] == 1.0


class TestFalseNews:
    async def test_payments_of_others_move_the_cursor_alone(self, desk):
        deposit = await desk.open(5_000)
        desk.provider.tell(Settled("ab" * 32, 7_000))
        desk.provider.tell(None)
        async with listening(desk):
            desk.provider.pay(deposit.ref)
            await ended(desk, deposit)
        assert desk.balances() == {"clearing:scripted": -5_000, f"wallet:{desk.account}:lightning": 5_000}
        with desk.database.transaction() as connection:
            assert cursor_of(connection, "scripted") == "3"

    @pytest.mark.parametrize("amount", [0, -1, True, 1.5, MAX_MSAT + 1, None])
    async def test_amounts_that_are_none(self, desk, amount):
        deposit = await desk.open(5_000)
        recorded = await desk.deposits.tell(desk.provider, Event(Settled(deposit.ref, amount), "7"))
        assert recorded.fault == "the amount is none"
        assert desk.balances() == {}
        with desk.database.transaction() as connection:
            assert cursor_of(connection, "scripted") == "7", "or it would be read for ever"

    async def test_another_amount_the_second_time(self, desk):
        deposit = await desk.open(5_000)
        await desk.deposits.tell(desk.provider, Event(Settled(deposit.ref, 5_000), None))
        recorded = await desk.deposits.tell(desk.provider, Event(Settled(deposit.ref, 9_000), None))
        assert (recorded.new, recorded.fault) == (False, "another amount was credited before")
        assert desk.wallet() == 5_000

    async def test_a_provider_cannot_settle_anothers_deposit(self, desk):
        deposit = await desk.open(5_000)
        other = ScriptedPayments("other")
        recorded = await desk.deposits.tell(other, Event(Settled(deposit.ref, 5_000), None))
        assert recorded.deposit is None
        assert desk.balances() == {}

    async def test_a_look_up_that_answers_about_another_payment(self, desk):
        mine, other = await desk.open(1_000), await desk.open(2_000)
        desk.provider.pay(other.ref)

        async def lookup(_):
            return Settled(other.ref, 2_000)

        desk.provider.lookup = lookup
        await desk.look()
        assert (await desk.again(mine)).status is Status.OPEN

    async def test_an_unsigned_webhook_is_a_hint_and_of_unknown_refs_nothing(self, desk):
        deposit = await desk.open(5_000)
        await desk.look()
        asked = desk.provider.line.calls.count("lookup")
        await desk.deposits.webhook("scripted", *desk.provider.called_back("cd" * 32, 5_000, signed=False))
        await desk.deposits.webhook("scripted", *desk.provider.called_back(deposit.ref, signed=False))
        desk.clock.at += 0.5
        await desk.look()
        assert desk.provider.line.calls.count("lookup") == asked + 1
        assert desk.balances() == {}
        desk.provider.hold_events()
        desk.provider.pay(deposit.ref)
        await desk.deposits.webhook("scripted", *desk.provider.called_back(deposit.ref, signed=False))
        desk.clock.at += 0.5
        await desk.look()
        assert desk.wallet() == 5_000

    async def test_webhooks_of_nobody(self, desk):
        with pytest.raises(NotFound):
            await desk.deposits.webhook("nobody", {}, b"{}")
        with pytest.raises(InvalidRequest):
            await desk.deposits.webhook("scripted", {}, b"garbage")

        async def broken(headers, body):
            raise ValueError("a key")

        desk.provider.webhook = broken
        with pytest.raises(ProviderUnavailable, match="plugin failed"):
            await desk.deposits.webhook("scripted", {}, b"{}")


class TestReading:
    async def test_nobody_sees_anothers(self, desk):
        deposit = await desk.open()
        with pytest.raises(NotFound):
            await desk.deposits.get(desk.others[0], deposit.id)
        assert await desk.deposits.list(desk.others[0], limit=9) == []
        with pytest.raises(NotFound):
            await desk.deposits.list(desk.others[0], limit=9, before=deposit.id)

    async def test_pages(self, desk):
        made = [await desk.open() for _ in range(5)]  # in the same microsecond
        first = await desk.deposits.list(desk.account, limit=3)
        rest = await desk.deposits.list(desk.account, limit=3, before=first[-1].id)
        assert {each.id for each in first + rest} == {each.id for each in made}

    async def test_followers_hear_of_another_server(self, make_desk, monkeypatch):
        monkeypatch.setattr("lightphon_core.payments.deposits.followers.NEWS_FROM_ELSEWHERE_S", 0.01)
        one = make_desk()
        two = make_desk(one.provider)
        deposit = await one.open(5_000)
        following = asyncio.create_task(ended(one, deposit))
        await two.deposits.tell(two.provider, Event(one.provider.pay(deposit.ref), None))
        assert (await following).status is Status.SETTLED

    async def test_only_so_many_are_followed_at_once(self, desk):
        deposit = await desk.open()
        follows = [desk.deposits.followers.follow(desk.account, deposit.id) for _ in range(21)]
        for follow in follows[:20]:
            await anext(follow)
        with pytest.raises(RateLimited, match="20"):
            await anext(follows[20])
        await follows[0].aclose()
        again = desk.deposits.followers.follow(desk.account, deposit.id)
        await anext(again)
        for follow in [again, *follows[1:20]]:
            await follow.aclose()
        assert not desk.deposits.followers.is_followed(deposit.id)


def test_how_often_a_provider_is_asked():
    assert look_again_s(0, pushes=False, watched=False) == 0.5
    assert look_again_s(60, pushes=False, watched=False) == 0.5
    assert look_again_s(1_200, pushes=False, watched=False) == 10
    assert look_again_s(1_200, pushes=False, watched=True) == 0.5
    assert look_again_s(0, pushes=True, watched=True) == 15
    assert [look_again_s(age, pushes=False, watched=age > 900, every_s=5) for age in (0, 840, 1_200)] == [5, 7, 5]
    assert look_again_s(10**6, pushes=False, watched=False) == 3_600
