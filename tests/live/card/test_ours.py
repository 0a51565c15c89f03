"""What only a Stripe of ours can show: a payment that is long on its way, news that overtake each other, and a Stripe
that is away."""

from __future__ import annotations

import pytest
from lightphon_payment_card.testing.account import event, signed

from .conftest import MSAT_PER_CENT, ref_of

PAID = 1_250 * MSAT_PER_CENT


pytestmark = pytest.mark.parametrize("house", ["ours"], indirect=True)


def test_a_payment_that_is_on_its_way_is_credited_when_it_has_come(house, customer):
    ann = customer()
    deposit = ann.opens()
    session = house.account.complete(ref_of(deposit), "unpaid")
    house.told("checkout.session.completed", session)
    house.told("checkout.session.async_payment_failed", session)
    ann.is_credited(deposit, 0, "open")
    house.account.pay(ref_of(deposit))
    house.told("checkout.session.async_payment_succeeded", session)
    house.credited += PAID
    ann.is_credited(deposit, PAID)


def test_a_refund_that_overtakes_the_payment(house, customer):
    ann = customer()
    deposit = ann.opens()
    charge = house.account.pay(ref_of(deposit))
    house.told("refund.created", house.account.refund(charge, 250))
    house.told("checkout.session.completed", house.account.session(ref_of(deposit)))
    house.credited += PAID - 250 * MSAT_PER_CENT
    ann.is_credited(deposit, PAID - 250 * MSAT_PER_CENT)


def test_while_stripe_is_away_it_is_asked_to_call_again(house, customer):
    ann = customer()
    deposit = ann.opens()
    call = signed(event("checkout.session.completed", house.account.session(ref_of(deposit))))
    house.stripe.refuse()
    assert house.call(*call) == 503
    with pytest.raises(RuntimeError, match="503"):
        ann.opens()
    house.stripe.listen()
    assert house.call(*call) == 200
    ann.is_credited(deposit, 0, "open")
