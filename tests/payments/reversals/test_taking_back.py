"""What is credited for a price, and what refunds and disputes take back of it, from whom."""

import pytest
from attrs import evolve
from sqlalchemy import update

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Capture, Post, Posting
from lightphon_core.payments.deposits.deposit import Status
from lightphon_core.storage.payment_tables import deposits
from lightphon_core.types import Fiat, PriceSettled, Reversal, Settled

DAY_US = 86_400_000_000
WINDOW_US = 90 * DAY_US
PRICE = Fiat("EUR", 1_000)
CREDIT = 100_000


class TestCredit:
    def test_what_was_locked_is_credited_once(self, shop):
        alice = shop.person()
        deposit = shop.open(alice)
        assert shop.pay(deposit).new
        assert not shop.pay(deposit).new
        assert shop.books(alice=alice) == {"wallet:alice:card": CREDIT}
        found = shop.deposit(deposit)
        assert (found.status, found.received, found.clawed_back) == (Status.SETTLED, CREDIT, 0)

    @pytest.mark.parametrize(
        "change",
        [
            PriceSettled("", Fiat("EUR", 999)),
            PriceSettled("", Fiat("EUR", 1_001)),
            PriceSettled("", Fiat("USD", 1_000)),
            Settled("", CREDIT),
            Reversal("", "re_1", Fiat("USD", 1_000)),
            Reversal("", "re_1", Fiat("EUR", 0)),
            Reversal("", "re_1", Fiat("EUR", -5)),
        ],
    )
    def test_what_is_not_this_deposit_is_a_fault(self, shop, change):
        alice = shop.person()
        deposit = shop.open(alice)
        assert shop.hear(evolve(change, ref=deposit.ref)).fault
        assert shop.books(alice=alice) == {}
        assert shop.deposit(deposit).status is Status.OPEN
        assert shop.pay(deposit).new, "the right price is credited all the same"
        assert shop.deposit(deposit).clawed_back == 0

    def test_of_nobody_nothing(self, shop):
        for change in (PriceSettled("cs_nobody", PRICE), Reversal("cs_nobody", "re_1", PRICE)):
            assert shop.hear(change).deposit is None

    def test_sats_have_no_price(self, shop):
        alice = shop.person()
        deposit = shop.open(alice)
        shop.transact(lambda c: c.execute(update(deposits).values(currency=None, price=None)))
        assert shop.pay(deposit).fault
        assert shop.take(deposit, "re").fault
        assert shop.hear(Settled(deposit.ref, 7_000)).new


class TestTakingBack:
    def test_from_the_wallet_the_payees_and_then_as_a_debt_and_back(self, shop):
        alice, near, far = shop.person(), shop.person(), shop.person()
        deposit = shop.open(alice)
        shop.pay(deposit)
        shop.spend(alice, 20_000, far)
        shop.spend(alice, 30_000, near)
        hold = shop.hold(alice, 10_000, near)
        for origin, amount in ((Origin.GRANTED, 1_000), (Origin.LIGHTNING, 2_000), (Origin.EARNED, 3_000)):
            shop.give(alice, amount, origin)
        before = shop.books(alice=alice, near=near, far=far)
        assert before == {
            "wallet:alice:card": 50_000,
            "wallet:alice:granted": 1_000,
            "wallet:alice:lightning": 2_000,
            "wallet:alice:earned": 3_000,
            "earnings:near:card": 27_000,
            "earnings:far:card": 18_000,
        }
        assert shop.take(deposit, "re", 800).taken_back == 80_000
        assert shop.books(alice=alice, near=near, far=far) == {
            "wallet:alice:card": 10_000,  # on hold
            "earnings:far:card": 11_000,  # the latest first
        }
        assert shop.take(deposit, "dp").taken_back == 20_000
        assert shop.books(alice=alice, near=near, far=far) == {"wallet:alice:card": 10_000, "receivable:alice": -9_000}
        assert shop.deposit(deposit).status is Status.REVERSED
        shop.do(Capture(hold, 0))
        assert shop.sweep() == 1
        assert shop.sweep() == 0
        assert shop.books(alice=alice, near=near, far=far) == {"wallet:alice:card": 1_000}
        assert shop.take(deposit, "re", 800, returned=True).taken_back == 0, "the dispute has all of it still"
        assert shop.take(deposit, "dp", returned=True).taken_back == -CREDIT
        assert shop.books(alice=alice, near=near, far=far) == before
        assert shop.kinds(deposit) == [
            ("deposit", deposit.ref),
            ("reinstatement", f"dp_{deposit.ref}:returned"),
            ("reversal", f"dp_{deposit.ref}:taken"),
            ("reversal", f"re_{deposit.ref}:taken"),
        ]

    def test_before_the_completion(self, shop):
        alice = shop.person()
        deposit = shop.open(alice)
        assert shop.take(deposit, "re", 333).taken_back == 0
        assert shop.books(alice=alice) == {}
        recorded = shop.pay(deposit)
        assert (recorded.new, recorded.taken_back) == (True, 33_300)
        assert shop.books(alice=alice) == {"wallet:alice:card": 66_700}
        assert shop.kinds(deposit) == [("deposit", deposit.ref), ("reversal", f"{deposit.ref}:completion")]

    def test_an_object_is_of_one_amount_and_one_deposit(self, shop):
        alice = shop.person()
        deposit, other = shop.open(alice), shop.open(alice)
        shop.pay(deposit)
        shop.pay(other)
        shop.take(deposit, "re", 300)
        assert "another amount" in shop.take(deposit, "re", 400).fault
        assert shop.hear(Reversal(other.ref, f"re_{deposit.ref}", Fiat("EUR", 300))).fault
        assert shop.books(alice=alice) == {"wallet:alice:card": 2 * CREDIT - 30_000}

    def test_nobody_else_answers_for_what_others_have_paid_them(self, shop):
        alice, bob, owner = shop.person(), shop.person(), shop.person()
        first, second, bobs = shop.open(alice), shop.open(alice), shop.open(bob)
        for deposit in (first, bobs):
            shop.pay(deposit)
        shop.spend(alice, CREDIT, owner, bps=0)
        shop.spend(bob, 60_000, owner, bps=0)
        shop.take(first, "dp")
        assert shop.books(owner=owner, alice=alice) == {"earnings:owner:card": 60_000}
        shop.pay(second)
        shop.spend(alice, 10_000, owner, bps=0)
        shop.spend(alice, 90_000, None)
        shop.take(second, "dp")
        assert shop.books(owner=owner, alice=alice) == {"earnings:owner:card": 60_000, "receivable:alice": -90_000}

    def test_what_has_matured_is_its_owners_whatever_others_pay_later(self, shop):
        alice, bob, owner = shop.person(), shop.person(), shop.person()
        deposit, bobs = shop.open(alice), shop.open(bob)
        shop.pay(deposit)
        shop.pay(bobs)
        shop.spend(alice, 40_000, owner, bps=0)
        shop.now += WINDOW_US + DAY_US
        assert shop.mature() == 1
        shop.spend(bob, 50_000, owner, bps=0)
        shop.take(deposit, "dp")
        assert shop.books(owner=owner, alice=alice) == {
            "wallet:owner:earned": 40_000,
            "earnings:owner:card": 50_000,
            "receivable:alice": -40_000,
        }

    def test_debts_of_other_kinds_are_not_recalled_from_others(self, shop):
        alice, owner = shop.person(), shop.person()
        deposit, other = shop.open(alice), shop.open(alice)
        shop.pay(deposit)
        shop.pay(other)
        shop.spend(alice, CREDIT, owner, bps=0)
        shop.take(other, "dp")  # all of which the wallet had
        shop.do(Post("payout", "test", alice, (Posting(chart.receivable(alice), chart.payout(alice), 5_000),)))
        assert shop.sweep() == 0
        shop.do(Post("payout_failed", "test", alice, (Posting(chart.payout(alice), chart.receivable(alice), 5_000),)))
        assert shop.books(alice=alice, owner=owner) == {"earnings:owner:card": CREDIT}
