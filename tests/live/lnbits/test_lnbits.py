"""Deposits and payouts through a real LNbits."""

from __future__ import annotations

import time

import bolt11
import pytest
from bolt11 import Bolt11, MilliSatoshi, TagChar, Tags
from lightphon_payment_lightning.wallets.lnbits import Lnbits, LnbitsSettings

from lightphon_core import Failed, NotKnown, Paid, Payment, Secret
from lightphon_core.testing import host_for
from lightphon_core.testing.process import until

pytestmark = pytest.mark.lnbits

SOMEBODY = "11" * 32
"""The private key of a node that LNbits knows nothing of."""

BEFORE_THE_NEXT_LOOK_S = 10.0
"""A deposit is asked about when it was opened, and then after 15 s, as long as the websocket stays open."""


def check_credited(house, ann):
    deposit = ann.opens(21_000)
    assert ann.pays(deposit)
    settled = ann.reaches(deposit, "settled", BEFORE_THE_NEXT_LOOK_S)
    assert (settled["received_msat"], ann.has()) == (21_000_000, 21_000_000)
    assert not ann.pays(deposit)
    house.check()


@pytest.mark.usefixtures("overdue")
def test_a_deposit_is_credited_by_the_websocket(house, customer):
    check_credited(house, customer(house))


def test_a_deposit_is_credited_by_a_webhook(start_house, customer):
    house = start_house("mute", webhook=True)
    check_credited(house, customer(house))
    until(lambda: "path=/webhooks/" in house.server.log.read_text(), "the webhook is in the access log")


def test_a_deposit_is_credited_by_polling(start_house, customer):
    house = start_house("refused")
    check_credited(house, customer(house))


def invoice_of_somebody(sats: int) -> str:
    tags = Tags()
    tags.add(TagChar.payment_hash, "22" * 32)
    tags.add(TagChar.payment_secret, "33" * 32)
    tags.add(TagChar.description, "elsewhere")
    tags.add(TagChar.expire_time, 86_400)
    return bolt11.encode(Bolt11("bc", int(time.time()), tags, MilliSatoshi(sats * 1000)), SOMEBODY)


def test_a_payout_leaves_the_wallet_once(house, customer, lnbits):
    ann = customer(house)
    deposit = ann.opens(50_000)
    assert ann.pays(deposit)
    ann.reaches(deposit, "settled")
    payee = lnbits.wallet("payee")
    invoice = lnbits.invoice(payee, 20_000)

    paid = ann.ended(ann.person.ask("POST", "/api/payouts", {"destination": invoice}))

    assert (paid["status"], paid["fee_msat"]) == ("paid", 0)
    assert (ann.has(), lnbits.has(payee)) == (30_000_000, 20_000_000)
    house.check()
    with pytest.raises(RuntimeError, match="400"):
        ann.person.ask("POST", "/api/payouts", {"destination": invoice})
    # LNbits pays only what comes from itself: anything else it tries, and fails.
    elsewhere = ann.ended(ann.person.ask("POST", "/api/payouts", {"destination": invoice_of_somebody(5_000)}))
    assert elsewhere["status"] == "failed"
    assert ann.has() == 30_000_000
    house.check()


async def test_paying_twice_pays_once(lnbits):
    house, payee = lnbits.wallet("house", 10_000), lnbits.wallet("payee")
    settings = LnbitsSettings(lnbits.url, Secret(house.invoice_key), Secret(house.admin_key))
    wallet = Lnbits(settings, host_for(None))
    invoice, too_much = lnbits.invoice(payee, 6_000), lnbits.invoice(payee, 50_000)
    payment = Payment("pay_1", bolt11.decode(invoice).payment_hash, invoice, 6_000_000, 60_000)

    assert await wallet.payment(payment.ref) == NotKnown()
    assert await wallet.pay(payment) == Paid(0)
    assert await wallet.pay(payment) == Paid(0)
    assert await wallet.payment(payment.ref) == Paid(0)

    ref = bolt11.decode(too_much).payment_hash
    refused = await wallet.pay(Payment("pay_2", ref, too_much, 50_000_000, 500_000))
    assert refused == Failed("The Lightning wallet has not enough money.")
    assert await wallet.payment(ref) == NotKnown()
    assert [each.ref for each in await wallet.payments(0)] == [payment.ref]
    assert (lnbits.has(house), lnbits.has(payee)) == (4_000_000, 6_000_000)
    await wallet.stop()


def test_what_is_paid_after_it_has_expired_is_credited_once(house, overdue):
    ann, deposit = overdue
    ann.reaches(deposit, "expired", 90.0)
    assert ann.has() == 0

    assert ann.pays(deposit)
    settled = ann.reaches(deposit, "settled")
    assert (settled["received_msat"], ann.has()) == (3_000_000, 3_000_000)
    house.server.stop()
    house.server.start()
    assert ann.reaches(deposit, "settled") == settled
    assert ann.has() == 3_000_000
    house.check()
