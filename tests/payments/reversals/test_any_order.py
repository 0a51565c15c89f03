"""Refunds and disputes in any order, again and again, with spending in between: the books come out the same."""

from contextlib import suppress

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Capture, Indebted, InsufficientFunds

CREDIT = 100_000
DAY_US = 86_400_000_000
OFTEN = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
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
    return shop.books(alice=alice, near=near, far=far), shop.deposit(deposit)


def canonical(steps):
    """The same news, once each and in order."""
    once = dict.fromkeys(steps)
    order = ["paid", *OBJECTS]
    kept = [step for step in once if step[0] != "sweep"]
    return sorted(kept, key=lambda step: (step[1], order.index(step[0])))


@given(steps=SAID)
@example(steps=[("dispute", True), ("dispute", False), ("refund_a", False), ("paid", False), ("refund_b", False)])
@OFTEN
def test_any_order_of_news_ends_in_the_same_books(shop, steps):
    rich = [(Origin.GRANTED, 10_000), (Origin.LIGHTNING, 20_000)]
    found, deposit = play(shop, steps, rich=rich)
    expected, wanted = play(shop, canonical(steps), rich=rich)
    assert found == expected
    assert (deposit.clawed_back, deposit.status) == (wanted.clawed_back, wanted.status)


@given(steps=SAID)
@example(steps=[("refund_b", False), ("refund_a", False), ("refund_b", True), ("dispute", False), ("dispute", True)])
@example(steps=[("dispute", False), ("dispute", True), ("refund_a", False)])
@OFTEN
def test_any_order_of_news_after_spending_ends_in_the_same_books(shop, steps):
    spends = [("near", 20_000), ("far", 20_000), ("near", 20_000), ("house", 15_000)]
    steps = [("paid", False), *steps]
    options = {"spends": spends, "rich": [(Origin.LIGHTNING, 20_000)]}
    found, deposit = play(shop, steps, **options)
    expected, wanted = play(shop, canonical(steps), **options)
    assert found == expected
    assert deposit.clawed_back == wanted.clawed_back


@given(data=st.data())
@OFTEN
def test_whatever_happens_in_between_what_is_returned_in_the_end_is_as_if_nothing_was(shop, data):
    alice, near = shop.person(), shop.person()
    shop.deposits.clear()
    deposits = [shop.open(alice), shop.open(alice)]
    holds, came, spent = [], 0, 0
    for _ in range(data.draw(st.integers(3, 10))):
        match data.draw(st.sampled_from(["pay", "take", "return", "hold", "capture", "give", "sweep", "wait"])):
            case "pay":
                came += CREDIT * shop.pay(data.draw(st.sampled_from(deposits))).new
            case "take" | "return" as which:
                name = data.draw(st.sampled_from(sorted(OBJECTS)))
                deposit = data.draw(st.sampled_from(deposits))
                assert shop.take(deposit, name, OBJECTS[name], returned=which == "return").fault is None
            case "hold":
                with suppress(Indebted, InsufficientFunds):
                    holds.append(shop.hold(alice, data.draw(st.sampled_from([5_000, 40_000])), near, bps=0))
            case "capture" if holds:
                spent += shop.do(Capture(holds.pop(), data.draw(st.sampled_from([0, 20_000]))))
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
    shop.sweep()
    found = shop.books(alice=alice, near=near)
    assert "receivable:alice" not in found
    assert sum(amount for name, amount in found.items() if name.startswith("wallet:alice:")) == came - spent
    assert sum(amount for name, amount in found.items() if name.startswith("earnings:near:")) == spent
    assert sum(shop.deposit(deposit).clawed_back for deposit in deposits) == 0
