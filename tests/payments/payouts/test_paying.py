"""Each payout is sent once, and ends as the wallet says: never by a guess."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightphon_core.accounts.people import account_of_id, delete_account, set_blocked
from lightphon_core.errors import InvalidRequest, NotSent, ProviderUnavailable
from lightphon_core.ledger import chart
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.payments.deposits.deposit import Status
from lightphon_core.payments.payouts import submission
from lightphon_core.payments.payouts.payout import PayoutState, look_again_s
from lightphon_core.types import Failed, Invoice, Paid

DYING = Path(__file__).with_name("dying_server.py")


@pytest.fixture
def till(new_till):
    till = new_till(fee=3_000)
    till.fund(100)
    return till


UNTOUCHED = {"clearing:scripted": -100_000, "wallet:alice:lightning": 100_000}
PAID = {"clearing:scripted": -47_000, "wallet:alice:lightning": 47_000}
"""After 50 sats and a fee of 3."""


async def paid_out(till, destination=None, sats=None):
    payout = await till.ask(destination or till.invoice(50), sats)
    await till.turn()
    return await till.again(payout)


class TestEnds:
    async def test_paid(self, till):
        payout = await paid_out(till)
        assert (payout.state, payout.fee, payout.reason) == (PayoutState.PAID, 3_000, None)
        assert till.books() == PAID
        (sent,) = till.provider.left
        assert (sent.payout, sent.ref, sent.amount, sent.fee_cap) == (payout.id, payout.ref, 50_000, 10_000)

    async def test_failed(self, till):
        till.provider.fails = "There is no way."
        payout = await paid_out(till)
        assert (payout.state, payout.fee, payout.reason) == (PayoutState.FAILED, None, "There is no way.")
        assert till.books() == UNTOUCHED

    async def test_a_wallet_that_was_surely_not_asked(self, till):
        till.provider.line.refuse("pay", NotSent("The wallet cannot be reached."))
        payout = await paid_out(till)
        assert (payout.state, payout.reason) == (PayoutState.FAILED, "The wallet cannot be reached.")
        assert till.books() == UNTOUCHED

    async def test_a_fee_above_the_cap_is_the_houses_loss(self, till):
        till.provider.in_flight = True
        payout = await paid_out(till)
        till.provider.finish(payout.ref, Paid(12_500))
        till.clock.at += 60
        await till.turn()
        assert till.books() == {
            "clearing:scripted": -37_500,
            "fees:routing": -2_500,
            "wallet:alice:lightning": 40_000,
        }

    async def test_a_log_that_cannot_be_written_sends_nothing(self, till):
        (till.data_dir / "payouts.jsonl").mkdir()
        payout = await till.ask(till.invoice(50))
        with pytest.raises(OSError, match="directory"):
            await till.turn()
        (till.data_dir / "payouts.jsonl").rmdir()
        await till.turn()
        assert (await till.again(payout)).state is PayoutState.PAID
        (till.data_dir / "payouts.jsonl").unlink()
        (till.data_dir / "payouts.jsonl").mkdir()
        payout = await till.ask(till.invoice(20))
        await till.turn()
        assert (await till.again(payout)).state is PayoutState.FAILED
        assert len(till.provider.left) == 1
        assert till.books() == PAID


class Strange(Exception):
    """Nothing that a provider may raise."""


class TestUnknown:
    @pytest.mark.parametrize("how", ["in flight", "lost reply", "fault", "time-out"])
    async def test_is_looked_up_and_nothing_else(self, till, how, monkeypatch):
        real = till.provider.pay

        async def strange(payment):
            await real(payment)
            if how == "fault":
                raise Strange
            await asyncio.Event().wait()

        if how == "in flight":
            till.provider.in_flight = True
        elif how == "lost reply":
            till.provider.line.lose_reply("pay")
        else:
            till.provider.pay = strange
            if how == "time-out":
                monkeypatch.setattr(submission, "PAYING_TIMEOUT_S", 0.01)
        payout = await paid_out(till)
        assert payout.state is PayoutState.UNKNOWN
        assert till.books()["payout:alice"] == 60_000
        if how == "in flight":
            till.clock.at += 30 * 86_400
            await till.turn()
            assert (await till.again(payout)).state is PayoutState.UNKNOWN  # age alone ends nothing
            till.provider.finish(payout.ref, Paid(3_000))
        till.clock.at += 601
        await till.turn()
        assert (await till.again(payout)).state is PayoutState.PAID
        assert till.books() == PAID
        assert till.provider.line.calls.count("pay") == 1

    async def test_that_fails_in_the_end(self, till):
        till.provider.in_flight = True
        payout = await paid_out(till)
        till.provider.finish(payout.ref, Failed("The peer went away."))
        till.clock.at += 60
        await till.turn()
        assert (await till.again(payout)).reason == "The peer went away."
        assert till.books() == UNTOUCHED

    async def test_a_request_that_arrives_late(self, till):
        """The wallet knows nothing of it for a while: that is no failure."""
        till.provider.line.refuse("pay", ProviderUnavailable("No answer."))
        payout = await paid_out(till)
        for _ in range(5):
            till.clock.at += 700
            await till.turn()
        assert (await till.again(payout)).state is PayoutState.UNKNOWN
        till.provider.paid_by_others(50_000, payout.ref, Paid(3_000))
        till.clock.at += 700
        await till.turn()
        assert till.books() == PAID
        assert till.provider.line.calls.count("pay") == 1

    async def test_looking_up_goes_easy_on_the_wallet(self, till):
        till.provider.in_flight = True
        await paid_out(till)
        for _ in range(600):
            till.clock.at += 1
            await till.turn()
        assert 15 < till.provider.line.calls.count("lookup") < 40
        assert [look_again_s(age) for age in (0, 4, 400, 10**9)] == [1, 1, 100, 600]

    async def test_a_wallet_that_is_down_meanwhile(self, till):
        till.provider.line.lose_reply("pay")
        payout = await paid_out(till)
        till.provider.line.up = False
        till.clock.at += 60
        await till.turn()
        assert (await till.again(payout)).state is PayoutState.UNKNOWN
        till.provider.line.up = True
        till.clock.at += 60
        await till.turn()
        assert till.books() == PAID


class TestAddresses:
    async def test_is_resolved_once_and_paid(self, till):
        payout = await paid_out(till, "bob@example.org", 50)
        assert payout.state is PayoutState.PAID
        assert (payout.destination, payout.invoice) == ("bob@example.org", till.provider.left[0].invoice)
        assert till.provider.line.calls == ["resolve", "pay"]

    @pytest.mark.parametrize("how", ["nobody", "down", "other amount", "no amount", "expired", "fault", "used before"])
    async def test_that_leads_nowhere(self, till, how):
        used = till.invoice(1)
        spent = (await paid_out(till, used)).ref

        async def resolve(address, amount):
            del address, amount
            if how == "fault":
                raise Strange
            amount = {"other amount": 50_001, "no amount": None}.get(how, 50_000)
            expires_at = 0 if how == "expired" else till.clock.at + 60
            return Invoice(spent if how == "used before" else "aa", "text", amount, expires_at)

        before = till.books()
        if how == "down":
            till.provider.line.refuse("resolve")
        elif how != "nobody":
            till.provider.resolve = resolve
        payout = await paid_out(till, "nobody@example.org" if how == "nobody" else "bob@example.org", 50)
        assert payout.state is PayoutState.FAILED
        assert payout.reason
        assert till.books() == before
        assert len(till.provider.left) == 1

    async def test_an_unknown_one_never_gets_a_second_invoice(self, till):
        till.provider.line.lose_reply("pay")
        till.provider.in_flight = True
        await paid_out(till, "bob@example.org", 50)
        till.clock.at += 60
        await till.turn()
        assert till.provider.line.calls == ["resolve", "pay", "lookup"]


class TestOnce:
    async def test_two_servers_over_one_database(self, new_till):
        one = new_till()
        provider, two = one.provider, new_till(one.provider)
        one.fund(2_000)
        for _ in range(8):
            await one.ask("bob@example.org", 50)
            await two.ask(one.invoice(50))
        tasks = [*await one.runner.turn(), *await two.runner.turn()]
        assert len(tasks) == 32
        await asyncio.gather(*tasks)
        assert provider.line.calls.count("pay") == 16
        assert one.books() == {"clearing:scripted": -1_200_000, "wallet:alice:lightning": 1_200_000}

    async def test_two_turns_of_one_server(self, till):
        await till.ask(till.invoice(20))
        tasks = [*await till.runner.turn(), *await till.runner.turn()]
        await asyncio.gather(*tasks)
        assert till.provider.line.calls == ["pay"]

    async def test_another_server_looks_up_what_a_slow_one_pays(self, new_till):
        """It may hear of the end first: then it is written down by it, once."""
        slow = new_till(fee=3_000)
        provider, quick = slow.provider, new_till(slow.provider)
        slow.fund(100)
        asked, go_on, real = asyncio.Event(), asyncio.Event(), provider.pay

        async def slowly(payment):
            done = await real(payment)
            asked.set()
            await go_on.wait()
            return done

        provider.pay = slowly
        payout = await slow.ask(slow.invoice(50))
        paying = asyncio.gather(*await slow.runner.turn())
        await asked.wait()
        assert (await slow.again(payout)).state is PayoutState.SUBMITTED
        await quick.turn()
        assert (await slow.again(payout)).state is PayoutState.PAID
        go_on.set()
        await paying
        assert slow.books() == PAID

    def test_killed_in_between(self, till, database_url):
        """kill -9 while the wallet is being asked: whether it has paid, only the wallet knows."""
        arguments = [sys.executable, DYING, database_url, till.data_dir, till.account, till.invoice(50)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            ref = process.stdout.readline().strip()
            os.kill(process.pid, signal.SIGKILL)
        assert ref, "it got as far as to pay"
        written = (till.data_dir / "payouts.jsonl").read_text().splitlines()
        assert [json.loads(line)["ref"] for line in written] == [ref]

        async def state_now():
            till.clock.at += 601
            await till.turn()
            (payout,) = await till.payouts.list(account=till.account, limit=2)
            return payout.state, payout.ref

        assert asyncio.run(state_now()) == (PayoutState.UNKNOWN, ref)
        till.provider.paid_by_others(50_000, ref, Paid(3_000))
        assert asyncio.run(state_now()) == (PayoutState.PAID, ref)
        assert till.books() == PAID
        assert "pay" not in till.provider.line.calls


class TestBeforeItIsSent:
    async def test_an_account_that_was_blocked_meanwhile(self, till):
        payout = await till.ask(till.invoice(50))
        with till.database.transaction() as connection:
            set_blocked(connection, account_of_id(connection, till.account), 1)
        await till.turn()
        assert (await till.again(payout)).reason == "The account was blocked."
        assert till.books() == UNTOUCHED

    async def test_an_account_that_owes_money_meanwhile(self, till):
        payout = await till.ask(till.invoice(50))
        owed = Posting(chart.receivable(till.account), "clearing:card", 7_000)
        with till.database.transaction() as connection:
            carry_out(connection, [Post("reversal", "card", "dp_1:taken", (owed,))])
        await till.turn()
        assert (await till.again(payout)).reason == "The account owes money."
        assert till.books() == {**UNTOUCHED, "clearing:card": 7_000, "receivable:alice": -7_000}

    async def test_an_invoice_that_has_expired_meanwhile(self, till):
        payout = await till.ask(till.invoice(50, expires_in_s=60))
        till.clock.at += 60
        await till.turn()
        assert (await till.again(payout)).state is PayoutState.FAILED
        assert till.books() == UNTOUCHED
        assert till.provider.line.calls == []


class TestInside:
    async def test_a_deposit_of_somebody_else_here(self, till):
        deposit = await till.deposits.open(till.other, None, 50_000)
        payout = await paid_out(till, deposit.pay["invoice"])
        assert (payout.state, payout.fee) == (PayoutState.PAID, 0)
        assert till.provider.line.calls == []
        assert till.books() == {
            "clearing:scripted": -100_000,
            "wallet:alice:lightning": 50_000,
            "wallet:bob:lightning": 50_000,
        }
        settled = await till.deposits.get(till.other, deposit.id)
        assert (settled.status, settled.received) == (Status.SETTLED, 50_000)

    async def test_a_forgery_over_less_settles_nothing(self, till):
        deposit = await till.deposits.open(till.other, None, 50_000)
        forged = till.invoice(1, ref=deposit.ref)
        with pytest.raises(InvalidRequest) as refused:
            await till.ask(forged)
        assert refused.value.code == "invoice_forged"

        async def resolve(address, amount):
            return Invoice(deposit.ref, forged, amount, till.clock.at + 600)

        till.provider.resolve = resolve
        payout = await till.ask("somebody@example.org", 1)
        await till.turn()
        assert (await till.again(payout)).reason.startswith("The invoice is a forgery")
        assert till.books() == {"clearing:scripted": -100_000, "wallet:alice:lightning": 100_000}
        assert (await till.deposits.get(till.other, deposit.id)).status is Status.OPEN

    async def test_capitals_are_the_same_invoice(self, till):
        deposit = await till.deposits.open(till.other, None, 50_000)
        assert deposit.is_paid_by(deposit.pay["invoice"].upper())

    async def test_whoever_follows_it_hears_of_it(self, till):
        deposit = await till.deposits.open(till.other, None, 50_000)
        following = till.deposits.followers.follow(till.other, deposit.id)
        assert (await anext(following)).status is Status.OPEN
        await paid_out(till, deposit.pay["invoice"])
        async with asyncio.timeout(30):
            assert (await anext(following)).status is Status.SETTLED
        await following.aclose()

    async def test_one_that_is_paid_from_outside_before_its_turn(self, till):
        deposit = await till.deposits.open(till.other, None, 50_000)
        payout = await till.ask(deposit.pay["invoice"])
        till.payments.pay(deposit.ref)
        await till.deposits.tell(till.payments, till.payments.told[0])
        await till.turn()
        assert (await till.again(payout)).reason == "The invoice was paid already."
        assert till.books() == {
            "clearing:scripted": -150_000,
            "wallet:alice:lightning": 100_000,
            "wallet:bob:lightning": 50_000,
        }

    async def test_one_of_somebody_who_has_left_meanwhile(self, till):
        deposit = await till.deposits.open(till.other, None, 50_000)
        payout = await till.ask(deposit.pay["invoice"])
        with till.database.transaction() as connection:
            delete_account(connection, till.other)
        await till.turn()
        assert (await till.again(payout)).reason == "The account that the invoice is a deposit of is gone."
        assert till.books() == UNTOUCHED

    async def test_an_address_that_hands_out_ones_own_deposit(self, till):
        deposit = await till.deposits.open(till.account, None, 50_000)

        async def resolve(address, amount):
            del address, amount
            return till.provider.read(deposit.pay["invoice"])

        till.provider.resolve = resolve
        payout = await paid_out(till, "alice@here.example", 50)
        assert payout.state is PayoutState.FAILED
        assert till.books() == UNTOUCHED


class TestAdministration:
    async def test_approval(self, new_till):
        till = new_till(fee=3_000, approval_above=49_999)
        till.fund(100)
        payout = await till.ask(till.invoice(50))
        await till.turn()
        assert (await till.again(payout)).state is PayoutState.AWAITING_APPROVAL
        approvals = [till.administration.approve(payout.id) for _ in range(2)]
        one, two = await asyncio.gather(*approvals, return_exceptions=True)
        assert sorted([type(one), type(two)], key=str) == sorted([type(payout), InvalidRequest], key=str)
        await till.turn()
        assert till.books() == PAID
        with pytest.raises(InvalidRequest):
            await till.administration.approve(payout.id)
        small = await till.ask(till.invoice(37))
        assert small.state is PayoutState.HELD

    async def test_rejection(self, new_till):
        till = new_till(approval_above=0)
        till.fund(100)
        payout = await till.ask(till.invoice(50))
        ended = await till.administration.reject(payout.id, "Who are you?")
        assert (ended.state, ended.reason) == (PayoutState.FAILED, "Who are you?")
        assert till.books() == UNTOUCHED
        with pytest.raises(InvalidRequest):
            await till.administration.approve(payout.id)
        with pytest.raises(InvalidRequest):
            await till.administration.reject(payout.id, "once more")
        await till.turn()
        assert till.provider.line.calls == []

    async def test_declaring_failed(self, till):
        till.provider.in_flight = True
        payout = await paid_out(till)
        for said, code in ((None, "payout_may_be_paid"), ("forgotten", "payout_may_be_paid")):
            if said == "forgotten":
                till.provider.forget(payout.ref)
            with pytest.raises(InvalidRequest) as refused:
                await till.administration.declare_failed(payout.id)
            assert refused.value.code == code
        till.clock.at += 2 * 3_600 - 1
        with pytest.raises(InvalidRequest):
            await till.administration.declare_failed(payout.id)
        till.clock.at += 1
        till.provider.line.up = False
        with pytest.raises(ProviderUnavailable):
            await till.administration.declare_failed(payout.id)
        till.provider.line.up = True
        assert till.books()["payout:alice"] == 60_000
        assert (await till.administration.declare_failed(payout.id)).state is PayoutState.FAILED
        assert till.books() == UNTOUCHED
        with pytest.raises(InvalidRequest):
            await till.administration.declare_failed(payout.id)

    async def test_one_that_the_wallet_has_paid_is_never_declared_failed(self, till):
        till.provider.line.lose_reply("pay")
        payout = await paid_out(till)
        till.clock.at += 10**6
        with pytest.raises(InvalidRequest) as refused:
            await till.administration.declare_failed(payout.id)
        assert refused.value.code == "payout_paid"
        assert (await till.again(payout)).state is PayoutState.PAID
        assert till.books() == PAID
