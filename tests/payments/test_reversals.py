"""After the sale: what refunds and disputes take back and return, in whichever order they are heard of, on each kind of
database. The books are proved after every step."""

from decimal import Decimal
from itertools import count

import pytest
from attrs import define, evolve, field
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from lightphon_core.errors import BalanceOwed, NotWithdrawable
from lightphon_core.ledger import audit, chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.collection import collect
from lightphon_core.ledger.commands import Capture, ExtendHold, Indebted, Post, Posting, TakeHold
from lightphon_core.ledger.maturity import mature
from lightphon_core.ledger.store import carry_out
from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.payments.deposits.record import record
from lightphon_core.payments.deposits.reversals import to_take_back
from lightphon_core.payments.payouts.withdrawal import Wish, ask
from lightphon_core.settings import LedgerSettings, PayoutSettings
from lightphon_core.storage.schema import accounts, balances, entries
from lightphon_core.types import Event, Fiat, Invoice, Opened, PriceSettled, Reversal, Settled

DAY_US = 86_400_000_000
WINDOW_S = 90 * 86_400
DELAYS = LedgerSettings(earnings_delay_s=0, card_earnings_delay_s=WINDOW_S)
PRICE = Fiat("EUR", 1_000)
CREDIT = 100_000

_names = count()


@define
class Shop:
    """Deposits by card, and a ledger whose clock goes on by a second with whatever happens."""

    database: object
    now: int = 1_800_000_000_000_000
    deposits: list = field(factory=list)

    def clock(self, _):
        return self.now

    def _in(self, work):
        self.now += 1_000_000
        with self.database.transaction() as connection:
            done = work(connection)
        with self.database.snapshot() as connection:
            assert audit.verify(connection) == []
            for deposit in self.deposits:
                found = store.get_deposit(connection, deposit.id)
                assert 0 <= found.clawed_back <= (found.received or 0) <= CREDIT
                assert (found.status is Status.REVERSED) == (found.clawed_back == found.received == CREDIT)
        return done

    def person(self):
        """Somebody new."""
        name = f"acc_{next(_names):016x}"
        row = {"id": name, "name": name, "created_at": self.now}
        self._in(lambda connection: connection.execute(accounts.insert().values(row)))
        return name

    def open(self, account):
        ref = f"cs_{next(_names)}"
        made = Deposit(
            f"dep_{ref}",
            account,
            "card",
            Status.CREATING,
            CREDIT,
            None,
            None,
            {},
            0,
            10**18,
            None,
            PRICE,
            Decimal(50_000),
        )

        def add(connection):
            store.add_deposit(connection, made)
            return store.mark_open(connection, made.id, Opened(ref, 10.0**12, {"checkout_url": "x"}), 10**18)

        self.deposits.append(made)
        return self._in(add)

    def hear(self, change, origin=Origin.CARD, provider="card"):
        return self._in(
            lambda connection: record(
                connection, provider, origin, Event(change, None), dispute_window_s=WINDOW_S, clock=self.clock
            )
        )

    def pay(self, deposit):
        return self.hear(PriceSettled(deposit.ref, PRICE))

    def take(self, deposit, name, cents=PRICE.cents, *, returned=False):
        return self.hear(Reversal(deposit.ref, f"{name}_{deposit.ref}", Fiat("EUR", cents), returned))

    def give(self, account, amount, origin):
        posting = Posting("clearing:lightning", chart.wallet(account, origin), amount)
        self.do(Post("deposit", "test", f"given_{next(_names)}", (posting,)))

    def do(self, command):
        (answer,) = self._in(lambda connection: carry_out(connection, [command], clock=self.clock))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hold(self, account, amount, payee, *, bps=1_000):
        hold = f"job_{next(_names)}"
        self.do(TakeHold(hold, account, amount, amount, payee, bps, 10**15))
        return hold

    def spend(self, account, amount, payee, *, bps=1_000):
        self.do(Capture(self.hold(account, amount, payee, bps=bps), amount))

    def sweep(self):
        return self._in(lambda connection: collect(connection, DELAYS, clock=self.clock))

    def mature(self):
        return self._in(lambda connection: mature(connection, DELAYS, clock=self.clock))

    def withdraw(self, account, amount):
        """Ask for a payout."""
        ref = f"{next(_names):064x}"
        wish = Wish(f"pay_{ref}", account, "lightning", ref, Invoice(ref, ref, amount, 10.0**12), amount, 0)
        return self._in(lambda connection: ask(connection, wish, PayoutSettings(least=1), self.now))

    def deposit(self, deposit):
        with self.database.snapshot() as connection:
            return store.get_deposit(connection, deposit.id)

    def books(self, **people):
        """What is not 0 of the accounts of these people, by their names here."""
        ids = {account: name for name, account in people.items()}
        with self.database.snapshot() as connection:
            rows = connection.execute(select(balances.c.account, balances.c.amount).where(balances.c.amount != 0)).all()
        parts = {row.account: row.account.split(":") for row in rows}
        return {
            ":".join(ids.get(each, each) for each in parts[row.account]): row.amount
            for row in rows
            if parts[row.account][1:] and parts[row.account][1] in ids
        }

    def kinds(self, deposit):
        """The entries of a deposit."""
        with self.database.snapshot() as connection:
            query = select(entries.c.kind, entries.c.external_id).where(entries.c.note == deposit.id)
            return sorted((row.kind, row.external_id) for row in connection.execute(query.order_by(entries.c.at)))


@pytest.fixture
def shop(database):
    return Shop(database)


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
        shop._in(lambda c: c.execute(store.deposits.update().values(currency=None, price=None)))
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

    def test_what_has_matured_is_its_owners(self, shop):
        alice, owner = shop.person(), shop.person()
        deposit = shop.open(alice)
        shop.pay(deposit)
        shop.spend(alice, 40_000, owner, bps=0)
        shop.now += WINDOW_S * 1_000_000 - DAY_US
        shop.mature()
        shop.spend(alice, 50_000, owner, bps=0)
        shop.now += 2 * DAY_US
        shop.mature()
        assert shop.books(owner=owner) == {"wallet:owner:earned": 40_000, "earnings:owner:card": 50_000}
        shop.take(deposit, "dp")
        assert shop.books(owner=owner, alice=alice) == {"wallet:owner:earned": 40_000, "receivable:alice": -40_000}

    def test_debts_of_other_kinds_are_not_recalled_from_others(self, shop):
        alice, owner = shop.person(), shop.person()
        deposit = shop.open(alice)
        shop.pay(deposit)
        shop.spend(alice, CREDIT, owner, bps=0)
        shop.do(Post("payout", "test", alice, (Posting(chart.receivable(alice), chart.payout(alice), 5_000),)))
        assert shop.sweep() == 0
        shop.do(Post("payout_failed", "test", alice, (Posting(chart.payout(alice), chart.receivable(alice), 5_000),)))
        assert shop.books(alice=alice, owner=owner) == {"earnings:owner:card": CREDIT}


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
        shop.now += (WINDOW_S - 60) * 1_000_000
        assert shop.mature() == 0
        with pytest.raises(NotWithdrawable):
            shop.withdraw(node, 1_000)
        shop.take(deposit, "dp")
        assert shop.books(thief=thief, node=node) == {"receivable:thief": -10_000}
        shop.now += WINDOW_S * 1_000_000
        assert shop.mature() == 0
        with pytest.raises(NotWithdrawable):
            shop.withdraw(node, 1_000)

    def test_honest_earnings_leave_after_the_window(self, shop):
        alice, node = shop.person(), shop.person()
        shop.pay(shop.open(alice))
        shop.spend(alice, CREDIT, node)
        shop.now += (WINDOW_S + 60) * 1_000_000
        assert shop.mature() == 1
        assert shop.withdraw(node, 90_000).amount == 90_000


OBJECTS = {"refund_a": 300, "refund_b": 700, "dispute": 1_000}
SAID = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(OBJECTS)), st.booleans()),
        st.just(("paid", False)),
        st.just(("sweep", False)),
    ),
    max_size=9,
)


def play(shop, steps, *, spends=(), rich=()):
    """A deposit to which this happens, in this order; what is spent is spent as soon as it is there."""
    alice, near, far = shop.person(), shop.person(), shop.person()
    shop.deposits.clear()
    for origin, amount in rich:
        shop.give(alice, amount, origin)
    deposit = shop.open(alice)
    for name, returned in steps:
        if name == "paid":
            new = shop.pay(deposit).new
            for payee, amount in spends if new else ():
                shop.spend(alice, amount, {"near": near, "far": far, "house": None}[payee])
        elif name == "sweep":
            assert shop.sweep() == 0, "what is said settles all that it can"
        else:
            assert shop.take(deposit, name, OBJECTS[name], returned=returned).fault is None
    return shop.books(alice=alice, near=near, far=far), shop.deposit(deposit), (alice, near, far)


def canonical(steps):
    """The same news, once each and in order."""
    once = dict.fromkeys(steps)
    order = ["paid", *OBJECTS]
    kept = [step for step in once if step[0] != "sweep"]
    return sorted(kept, key=lambda step: (step[1], order.index(step[0])))


@given(steps=SAID)
@example(steps=[("dispute", True), ("dispute", False), ("refund_a", False), ("paid", False), ("refund_b", False)])
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_news_ends_in_the_same_books(shop, steps):
    rich = [(Origin.GRANTED, 10_000), (Origin.LIGHTNING, 20_000)]
    found, deposit, _ = play(shop, steps, rich=rich)
    expected, wanted, _ = play(shop, canonical(steps), rich=rich)
    assert found == expected
    assert (deposit.clawed_back, deposit.status) == (wanted.clawed_back, wanted.status)


@given(steps=SAID)
@example(steps=[("refund_b", False), ("refund_a", False), ("refund_b", True), ("dispute", False), ("dispute", True)])
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_news_after_spending_ends_in_the_same_books(shop, steps):
    spends = [("near", 20_000), ("far", 30_000), ("near", 25_000), ("house", 15_000)]
    steps = [("paid", False), *steps]
    options = {"spends": spends, "rich": [(Origin.LIGHTNING, 5_000)]}
    found, deposit, _ = play(shop, steps, **options)
    expected, wanted, _ = play(shop, canonical(steps), **options)
    assert found == expected
    assert deposit.clawed_back == wanted.clawed_back


@given(data=st.data())
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_in_between_what_is_returned_in_the_end_is_as_if_nothing_was(shop, data):
    alice, near, far = shop.person(), shop.person(), shop.person()
    shop.deposits.clear()
    deposits = [shop.open(alice), shop.open(alice)]
    holds, came, house = [], 0, 0
    for _ in range(data.draw(st.integers(3, 10))):
        match data.draw(st.sampled_from(["pay", "take", "return", "hold", "capture", "give", "sweep", "wait"])):
            case "pay":
                came += CREDIT * shop.pay(data.draw(st.sampled_from(deposits))).new
            case "take" | "return" as which:
                name = data.draw(st.sampled_from(sorted(OBJECTS)))
                deposit = data.draw(st.sampled_from(deposits))
                assert shop.take(deposit, name, OBJECTS[name], returned=which == "return").fault is None
            case "hold":
                try:
                    holds.append(shop.hold(alice, data.draw(st.sampled_from([5_000, 40_000])), near))
                except Exception as error:  # what it has may be less
                    assert type(error).__name__ in ("Indebted", "InsufficientFunds")
            case "capture" if holds:
                shop.do(Capture(holds.pop(), data.draw(st.sampled_from([0, 20_000]))))
            case "give":
                shop.give(alice, 7_000, Origin.LIGHTNING)
                came += 7_000
            case "sweep":
                shop.sweep()
            case "wait":
                shop.now += DAY_US
    for deposit in deposits:
        for name, cents in OBJECTS.items():
            shop.take(deposit, name, cents, returned=True)
    while holds:
        shop.do(Capture(holds.pop(), 0))
    found = shop.books(alice=alice, near=near, far=far)
    assert "receivable:alice" not in found
    assert sum(shop.deposit(deposit).clawed_back for deposit in deposits) == 0
    assert shop.sweep() == 0
    pending = found.get("earnings:near:card", 0)
    spent = sum(found.values()) - pending
    assert spent <= came
