"""Deposits by card through a whole gateway, Stripe's own library on both sides: opened, paid at the page, told by
signed webhooks, taken back. `ledger verify` after each.

What the emulator cannot do is done with events of full shape, which Stripe's library signs.
"""

from __future__ import annotations

import pytest
from lightphon_payment_card.events import EVENTS
from lightphon_payment_card.testing.account import event, signed

from .conftest import MSAT_PER_CENT, ref_of

PAID = 1_250 * MSAT_PER_CENT
COMPLETED = "checkout.session.completed"


def test_a_deposit_is_paid_at_the_page_and_credited_at_the_locked_rate(house, customer):
    ann = customer()
    deposit = ann.opens()
    assert (deposit["status"], deposit["amount_msat"]) == ("open", PAID)
    assert (deposit["price_cents"], deposit["currency"], deposit["play_money"]) == (1_250, "EUR", True)
    # Whoever comes back without having paid is believed nothing.
    assert "Waiting" in house.shows(deposit)
    ann.is_credited(deposit, 0, "open")
    house.pays(deposit)
    house.credited += PAID
    ann.is_credited(deposit, PAID)
    assert "Paid" in house.shows(deposit)


def test_an_event_counts_once_and_for_its_own_deposit(house, customer):
    ann, bob = customer(), customer()
    deposit, other = ann.opens(), bob.opens()
    house.pays(deposit)
    house.credited += PAID
    call = signed(event(COMPLETED, house.account.session(ref_of(deposit))))
    assert [house.call(*call), house.call(*call)] == [200, 200]
    # The same, said to be about somebody else's: that one is read again, and was not paid.
    stolen = {**house.account.session(ref_of(deposit)), "id": ref_of(other)}
    house.told(COMPLETED, stolen)
    ann.is_credited(deposit, PAID)
    bob.is_credited(other, 0, "open")


def test_what_is_not_signed_now_by_stripe_credits_nobody(house, customer):
    ann = customer()
    deposit = ann.opens()
    paid = {**house.account.session(ref_of(deposit)), "status": "complete", "payment_status": "paid"}
    headers, body = signed(event(COMPLETED, paid))
    calls = [
        ({}, body),
        ({"stripe-signature": "t=1,v1=00"}, body),
        (headers, body.replace(b"unpaid", b"paid") + b" "),
        signed(event(COMPLETED, paid), age_s=400),
        signed(event(COMPLETED, paid), secret="whsec_of_another_endpoint"),
        signed(event(COMPLETED, paid, livemode=True)),
    ]
    assert [house.call(*call) for call in calls] == [400] * len(calls)
    # What is signed, and says that it was paid, is no proof either: it is read again.
    assert house.call(headers, body) == 200
    ann.is_credited(deposit, 0, "open")


@pytest.mark.parametrize("change", [{"amount_total": 1_249}, {"amount_total": 125_000}, {"currency": "usd"}], ids=str)
def test_another_amount_or_currency_credits_nothing(house, customer, change):
    ann = customer()
    deposit = ann.opens()
    house.account.sessions[ref_of(deposit)] |= change
    house.pays(deposit)
    house.told(COMPLETED, house.account.session(ref_of(deposit)))
    ann.is_credited(deposit, 0, "open")


def test_a_session_of_another_label_credits_nothing(house, customer):
    ann = customer()
    deposit = ann.opens()
    house.account.sessions[ref_of(deposit)] |= {"client_reference_id": "dep_0123456789abcdef01234567"}
    house.pays(deposit)
    ann.is_credited(deposit, 0, "open")


def test_refunds_take_back_what_they_give_once(house, customer):
    ann = customer()
    deposit = ann.opens()
    charge = house.pays(deposit)
    part = house.account.refund(charge, 250, "pending")
    for kind in ("refund.created", "charge.refunded", "refund.updated", "refund.created"):
        house.told(kind, charge if kind.startswith("charge") else part)
    left = PAID - 250 * MSAT_PER_CENT
    house.credited += left
    ann.is_credited(deposit, left)
    part["status"] = "failed"
    house.told("refund.failed", part)
    house.credited += PAID - left
    ann.is_credited(deposit, PAID)
    house.told("refund.created", house.account.refund(charge, 250))
    house.told("refund.created", house.account.refund(charge, 1_000))
    house.credited -= PAID
    ann.is_credited(deposit, 0, "reversed")
    assert "Taken back" in house.shows(deposit)


@pytest.mark.parametrize(("status", "left"), [("won", PAID), ("lost", 0)])
def test_a_dispute_takes_the_money_until_it_is_won(house, customer, status, left):
    ann = customer()
    deposit = ann.opens()
    charge = house.pays(deposit)
    dispute = house.account.dispute(charge, status="warning_needs_response")
    house.told("charge.dispute.created", dispute)
    house.credited += PAID
    ann.is_credited(deposit, PAID)
    dispute["status"] = "needs_response"
    for kind in ("funds_withdrawn", "created", "updated"):
        house.told(f"charge.dispute.{kind}", dispute)
    house.credited -= PAID
    ann.is_credited(deposit, 0, "reversed")
    dispute["status"] = status
    for kind in ("closed", "funds_reinstated", "closed"):
        house.told(f"charge.dispute.{kind}", dispute)
    house.credited += left
    ann.is_credited(deposit, left, "settled" if left else "reversed")


def test_every_event_in_the_wrong_order_comes_to_the_same(house, customer):
    ann = customer()
    deposit = ann.opens()
    charge = house.pays(deposit)
    refund, dispute = house.account.refund(charge, 250), house.account.dispute(charge, 1_250, "lost")
    objects = {"charge.refunded": charge, "refund": refund, "charge.refund": refund, "charge.dispute": dispute}
    for kind in reversed(EVENTS):
        names = [name for name in objects if kind.startswith(name)]
        house.told(kind, objects[max(names, key=len)] if names else house.account.session(ref_of(deposit)))
    ann.is_credited(deposit, 0, "reversed")
