"""A dispute that is won when somebody of those it took from has left: no money goes to nobody."""

from lightphon_core.accounts.people import delete_account
from lightphon_core.ledger.chart import ADJUSTMENTS

CREDIT = 100_000


def test_what_is_returned_to_those_who_left_is_the_operators_to_give(shop):
    alice, owner = shop.person(), shop.person()
    deposit = shop.open(alice)
    shop.pay(deposit)
    shop.spend(alice, 40_000, owner, bps=0)
    shop.take(deposit, "dp")
    assert shop.books(alice=alice, owner=owner) == {}
    for person in (alice, owner):
        shop.transact(lambda connection, person=person: delete_account(connection, person))
    assert shop.take(deposit, "dp", returned=True).taken_back == -CREDIT
    assert shop.books(alice=alice, owner=owner) == {}
    assert shop.balance(ADJUSTMENTS) == CREDIT


def test_what_is_returned_to_one_who_stayed_is_theirs(shop):
    alice, owner = shop.person(), shop.person()
    deposit = shop.open(alice)
    shop.pay(deposit)
    shop.spend(alice, 40_000, owner, bps=0)
    shop.take(deposit, "dp")
    shop.transact(lambda connection: delete_account(connection, alice))
    shop.take(deposit, "dp", returned=True)
    assert shop.books(alice=alice, owner=owner) == {"earnings:owner:card": 40_000}
    assert shop.balance(ADJUSTMENTS) == CREDIT - 40_000
