"""Who owes money after a payment was taken back; and whoever would launder a stolen card's money."""

import pytest

from lightphon_core.errors import BalanceOwed, NotWithdrawable
from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Capture, ExtendHold, Indebted, Post, Posting

MINUTE_US = 60_000_000
WINDOW_US = 90 * 86_400_000_000
CREDIT = 100_000


class TestDebtors:
    @pytest.fixture
    def debtor(self, shop):
        """Somebody who owes 100 sats."""
        alice = shop.person()
        deposit = shop.open(alice)
        shop.pay(deposit)
        shop.spend(alice, CREDIT, None)
        shop.take(deposit, "dp")
        assert shop.books(alice=alice) == {"receivable:alice": -CREDIT}
        return deposit

    def test_nothing_that_costs_and_no_payout(self, shop, debtor):
        alice = debtor.account
        shop.give(alice, 30_000, Origin.LIGHTNING)  # and no sweep has come by yet
        with pytest.raises(Indebted) as refused:
            shop.hold(alice, 1_000, None)
        assert refused.value.owed == CREDIT
        with pytest.raises(BalanceOwed, match="owes 100 sats") as owed:
            shop.withdraw(alice, 10_000)
        assert owed.value.code == "balance_owed"

    def test_holds_grow_no_more(self, shop):
        alice = shop.person()
        deposit = shop.open(alice)
        shop.pay(deposit)
        hold = shop.hold(alice, 40_000, None)
        shop.take(deposit, "dp")
        shop.give(alice, 30_000, Origin.LIGHTNING)
        assert shop.do(ExtendHold(hold, 10_000, 0, 10**12)) == 40_000
        shop.do(Capture(hold, 35_000))
        shop.sweep()
        assert shop.books(alice=alice) == {"receivable:alice": -5_000}

    def test_what_comes_in_settles_first(self, shop, debtor):
        alice = debtor.account
        second = shop.open(alice)
        shop.take(second, "re", 400)
        recorded = shop.pay(second)
        assert recorded.taken_back == 40_000
        assert shop.books(alice=alice) == {"receivable:alice": -40_000}
        third = shop.open(alice)
        shop.pay(third)
        assert shop.books(alice=alice) == {"wallet:alice:card": 60_000}
        shop.hold(alice, 60_000, None)

    def test_what_was_collected_for_nothing_is_given_back_as_it_was(self, shop, debtor):
        alice = debtor.account
        shop.give(alice, 30_000, Origin.LIGHTNING)
        shop.give(alice, 50_000, Origin.GRANTED)
        shop.sweep()
        assert shop.books(alice=alice) == {"receivable:alice": -20_000}
        shop.take(debtor, "dp", returned=True)
        assert shop.books(alice=alice) == {"wallet:alice:lightning": 30_000, "wallet:alice:granted": 50_000}

    def test_what_was_collected_for_a_payout_that_failed_after_all_is_given_back(self, shop):
        alice = shop.person()
        owed, leaving = chart.receivable(alice), chart.payout(alice)
        shop.do(Post("payout", "test", alice, (Posting(owed, leaving, 20_000),)))  # found again after a restore
        shop.give(alice, 5_000, Origin.GRANTED)
        shop.give(alice, 30_000, Origin.EARNED)
        assert shop.sweep() == 1
        assert shop.books(alice=alice) == {"wallet:alice:earned": 15_000, "payout:alice": 20_000}
        shop.do(Post("payout_failed", "test", alice, (Posting(leaving, owed, 20_000),)))
        assert shop.sweep() == 1
        assert shop.books(alice=alice) == {"wallet:alice:granted": 5_000, "wallet:alice:earned": 30_000}

    def test_what_was_on_hold_is_not_earned_either(self, shop):
        # Whoever keeps a stolen card's money on hold until the dispute comes gains nothing by that.
        thief, node = shop.person(), shop.person()
        deposit = shop.open(thief)
        shop.pay(deposit)
        hold = shop.hold(thief, CREDIT, node)
        shop.take(deposit, "dp")
        assert shop.books(thief=thief) == {"wallet:thief:card": CREDIT, "receivable:thief": -CREDIT}
        shop.do(Capture(hold, CREDIT))
        assert shop.books(node=node) == {"earnings:node:card": 90_000}
        shop.sweep()
        assert shop.books(thief=thief, node=node) == {"receivable:thief": -10_000}
        shop.take(deposit, "dp", returned=True)
        assert shop.books(thief=thief, node=node) == {"earnings:node:card": 90_000}


class TestLaundering:
    def test_card_money_is_never_withdrawn(self, shop):
        alice = shop.person()
        shop.pay(shop.open(alice))
        with pytest.raises(NotWithdrawable, match="paid by card"):
            shop.withdraw(alice, 1_000)

    def test_stolen_card_to_user_to_own_node_to_payout(self, shop):
        thief, node = shop.person(), shop.person()
        deposit = shop.open(thief)
        shop.pay(deposit)
        shop.spend(thief, CREDIT, node)
        shop.now += WINDOW_US - MINUTE_US
        assert shop.mature() == 0
        with pytest.raises(NotWithdrawable):
            shop.withdraw(node, 1_000)
        shop.take(deposit, "dp")
        assert shop.books(thief=thief, node=node) == {"receivable:thief": -10_000}
        shop.now += WINDOW_US
        assert shop.mature() == 0
        with pytest.raises(NotWithdrawable):
            shop.withdraw(node, 1_000)

    def test_honest_earnings_leave_after_the_window(self, shop):
        alice, node = shop.person(), shop.person()
        shop.pay(shop.open(alice))
        shop.spend(alice, CREDIT, node)
        shop.now += WINDOW_US + MINUTE_US
        assert shop.mature() == 1
        assert shop.withdraw(node, 90_000).amount == 90_000
