"""Asking for a payout: what leaves the wallet, and what is refused with nothing moved."""

import asyncio

import pytest

from lightphon_core.accounts.people import account_of_id, set_blocked
from lightphon_core.errors import BalanceOnHold, InvalidRequest, NotFound, NotWithdrawable, PermissionDenied
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import TakeHold
from lightphon_core.ledger.store import carry_out
from lightphon_core.payments.payouts.payout import PayoutState


class TestWhatLeavesTheWallet:
    async def test_amount_and_fee_cap_are_set_aside_and_stored_before_anybody_is_asked(self, till):
        till.fund(30)
        till.fund(100, origin=Origin.EARNED)
        invoice = till.invoice(50)
        payout = await till.ask(invoice)
        assert till.books() == {
            "clearing:scripted": -130_000,
            "payout:alice": 60_000,
            "wallet:alice:earned": 70_000,
        }
        assert (payout.lightning, payout.earned, payout.owed) == (30_000, 30_000, 0)
        assert (payout.state, payout.amount, payout.fee_cap, payout.invoice) == ("held", 50_000, 10_000, invoice)
        assert till.provider.line.calls == []
        assert await till.again(payout) == payout

    async def test_an_invoice_over_parts_of_a_sat(self, till):
        till.fund(30)
        assert (await till.ask(till.invoice(2.5))).amount == 2_500

    @pytest.mark.parametrize(
        ("bps", "least", "cap"), [(0, 0, 10_000), (100, 0, 11_000), (100, 50_000, 50_000), (0, 9_999, 10_000)]
    )
    async def test_fee_cap(self, new_till, bps, least, cap):
        till = new_till(least_cap=least, fee_bps=bps)
        till.fund(200)
        assert (await till.ask("bob@example.org", 100)).fee_cap == cap

    async def test_an_idempotency_key_asks_once(self, till):
        till.fund(300)
        invoice = till.invoice(50, expires_in_s=60)
        first = await till.ask(invoice, key="one")
        await till.turn()
        till.clock.at += 3_600
        again = await till.ask(invoice, key="one")
        assert (again.id, again.state) == (first.id, PayoutState.PAID)
        with pytest.raises(InvalidRequest) as reused:
            await till.ask("bob@example.org", 50, key="one")
        assert reused.value.code == "idempotency_key_reused"
        other = await till.ask("bob@example.org", 50, key="two")
        assert other.id != first.id
        till.fund(100, account=till.other)
        assert (await till.ask("bob@example.org", 50, key="one", account=till.other)).id != first.id

    async def test_of_many_at_once_only_as_many_as_the_wallet_covers(self, till):
        till.fund(125)
        asked = [till.ask(till.invoice(50)) for _ in range(5)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["NotWithdrawable"] * 3 + ["Payout"] * 2
        assert till.books()["wallet:alice:lightning"] == 5_000

    async def test_nobody_sees_anothers(self, till):
        till.fund(100)
        payout = await till.ask(till.invoice(50))
        with pytest.raises(NotFound):
            await till.payouts.get(payout.id, account=till.other)
        assert await till.payouts.list(account=till.other, limit=10) == []
        with pytest.raises(NotFound):
            await till.payouts.list(account=till.other, limit=10, before=payout.id)


async def refused(till, *asked, error=InvalidRequest, **more):
    """Why it is refused. Nothing moves, and nobody is asked."""
    before = till.books()
    with pytest.raises(error) as raised:
        await till.ask(*asked, **more)
    await till.turn()
    assert till.books() == before
    assert till.provider.line.calls == []
    return raised.value


class TestDestinations:
    async def test_what_is_refused(self, till):
        till.fund(1_000)
        for destination, sats, code, param in (
            (till.invoice(None), None, "invoice_without_amount", "destination"),
            (till.invoice(None), 50, "invoice_without_amount", "destination"),
            (till.invoice(0), None, None, "destination"),
            (till.invoice(50), 51, None, "amount_sats"),
            (till.invoice(50, expires_in_s=0), None, "invoice_expired", "destination"),
            ("bob@example.org", None, None, "amount_sats"),
            ("nonsense", None, None, "destination"),
            ("testnet:00", 50, None, "destination"),
        ):
            error = await refused(till, destination, sats)
            assert (error.code, error.param) == (code, param), destination

    async def test_an_invoice_is_good_for_one_payout_whatever_became_of_it(self, till):
        till.fund(1_000)
        till.provider.fails = "There is no way."
        invoice = till.invoice(50)
        payout = await till.ask(invoice)
        for account in (till.account, till.other):
            till.provider.line.calls.clear()
            with pytest.raises(InvalidRequest) as used:
                await till.ask(invoice, account=account)
            assert used.value.code == "invoice_used"
        await till.turn()
        assert (await till.again(payout)).state is PayoutState.FAILED
        till.provider.line.calls.clear()
        assert (await refused(till, invoice)).code == "invoice_used"

    async def test_ones_own_deposit_and_one_that_is_settled(self, till):
        till.fund(1_000)
        own = await till.deposits.open(till.account, None, 50_000)
        assert (await refused(till, own.pay["invoice"])).code == "own_invoice"
        theirs = await till.deposits.open(till.other, None, 50_000)
        till.payments.pay(theirs.ref)
        await till.deposits.tell(till.payments, till.payments.told[0])
        assert (await refused(till, theirs.pay["invoice"])).code == "invoice_paid"


class TestMoney:
    async def test_what_was_granted_or_came_by_card_stays(self, till):
        till.fund(500, origin=Origin.CARD)
        till.fund(500, origin=Origin.GRANTED)
        till.fund(59, origin=Origin.EARNED)
        error = await refused(till, till.invoice(50), error=NotWithdrawable)
        assert error.message == (
            "The payout needs 50 sats and up to 10 sats for the network; 59 sats can be withdrawn. 1000 sats more were "
            "granted or paid by card, which can be spent and not withdrawn."
        )

    async def test_what_is_set_aside_for_answers(self, till):
        till.fund(60)
        with till.database.transaction() as connection:
            carry_out(connection, [TakeHold("hold", till.account, 1, 1, None, 0, 10**12)])
        error = await refused(till, till.invoice(50), error=BalanceOnHold)
        assert error.retry_after > 0
        await refused(till, till.invoice(51), error=NotWithdrawable)

    async def test_a_blocked_account(self, till):
        till.fund(60)
        with till.database.transaction() as connection:
            set_blocked(connection, account_of_id(connection, till.account), 1)
        assert (await refused(till, till.invoice(50), error=PermissionDenied)).code == "account_blocked"

    async def test_switched_off(self, new_till):
        till = new_till(enabled=False)
        till.fund(60)
        assert (await refused(till, till.invoice(50), error=PermissionDenied)).code == "payouts_disabled"
        with pytest.raises(PermissionDenied):
            await till.payouts.set_automatic(till.account, "bob@example.org", 10**9)


class TestLimits:
    async def test_the_least(self, new_till):
        till = new_till(least=20_000)
        till.fund(1_000)
        assert "20 sats at least" in (await refused(till, till.invoice(19.999))).message
        await till.ask(till.invoice(20))

    async def test_an_account_in_24_hours(self, new_till):
        till = new_till(daily=100_000)
        till.fund(1_000)
        till.provider.fails = "There is no way."
        failed = await till.ask(till.invoice(80))
        await till.turn()
        assert (await till.again(failed)).state is PayoutState.FAILED
        till.provider.fails = None
        await till.ask(till.invoice(60))  # what failed does not count
        with pytest.raises(InvalidRequest, match="40 sats are left") as limited:
            await till.ask(till.invoice(41))
        assert limited.value.code == "payout_limit_reached"
        till.fund(100, account=till.other)
        await till.ask(till.invoice(80), account=till.other)
        till.clock.at += 86_399
        with pytest.raises(InvalidRequest):
            await till.ask(till.invoice(41))
        till.clock.at += 1
        await till.ask(till.invoice(100))

    async def test_all_accounts_in_24_hours(self, new_till):
        till = new_till(daily_of_all=100_000)
        for account in (till.account, till.other):
            till.fund(200, account=account)
        await till.ask(till.invoice(60))
        with pytest.raises(InvalidRequest) as limited:
            await till.ask(till.invoice(41), account=till.other)
        assert limited.value.code == "payout_limit_reached"
        await till.ask(till.invoice(40), account=till.other)
        assert till.books()["payout:bob"] == 50_000

    async def test_nobody_pays_here(self, new_till):
        till = new_till()
        till.payouts.providers.clear()
        with pytest.raises(InvalidRequest) as none:
            await till.ask("bob@example.org", 50)
        assert none.value.code == "no_payout_provider"
