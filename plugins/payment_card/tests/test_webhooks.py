"""What comes of Stripe's events: each object is read again, and only that is told."""

import pytest
from attrs import evolve
from lightphon_payment_card.deposits import CardDeposits
from lightphon_payment_card.testing.account import event, signed

from lightphon_core import Fiat, InvalidRequest, NewDeposit, PriceSettled, ProviderUnavailable, Reversal

DEPOSIT = NewDeposit("dep_1", 1_000_000, "Deposit dep_1", 3_600, Fiat("EUR", 1_250), "https://ai.example.com/d/dep_1")
SHOP = {
    "mode": "payment",
    "payment_method_types": ["card"],
    "line_items": [{"quantity": "1", "price_data": {"currency": "eur", "unit_amount": "500"}}],
    "success_url": "https://shop.example.com/",
}


@pytest.fixture
async def paid(stripe, card):
    """The ref of a deposit that was paid, and its charge."""
    opened = await card.open(DEPOSIT)
    return opened.ref, stripe.account.pay(opened.ref)


async def told(card: CardDeposits, kind, about, **changes):
    return list(await card.webhook(*signed(event(kind, about, **changes))))


async def test_a_completed_session_is_told_as_it_is_now(stripe, card):
    ref = (await card.open(DEPOSIT)).ref
    lie = {**stripe.account.session(ref), "payment_status": "paid", "status": "complete", "amount_total": 9_999}
    assert await told(card, "checkout.session.completed", lie) == []
    stripe.account.complete(ref, "unpaid")
    assert await told(card, "checkout.session.completed", stripe.account.session(ref)) == []
    assert await told(card, "checkout.session.async_payment_failed", stripe.account.session(ref)) == []
    stripe.account.pay(ref)
    settled = [PriceSettled(ref, Fiat("EUR", 1_250))]
    for kind in ("completed", "async_payment_succeeded", "expired"):
        assert await told(card, f"checkout.session.{kind}", lie) == settled


async def test_what_another_system_sells_is_left_alone(stripe, card):
    session = stripe.account.create_session(SHOP, "of a shop")
    charge = stripe.account.pay(session["id"])
    refund, dispute = stripe.account.refund(charge, 100), stripe.account.dispute(charge)
    for kind, about in (
        ("checkout.session.completed", session),
        ("charge.refunded", charge),
        ("refund.created", refund),
        ("charge.dispute.created", dispute),
        ("checkout.session.completed", {"id": "cs_test_of_nobody"}),
        ("refund.created", {"id": "re_of_nobody"}),
        ("charge.dispute.created", {"id": "dp_of_nobody"}),
        ("invoice.paid", {"id": "in_1"}),
    ):
        assert await told(card, kind, about) == [], kind


@pytest.mark.parametrize(
    ("status", "returned"),
    [("pending", False), ("requires_action", False), ("succeeded", False), ("failed", True), ("canceled", True)],
)
async def test_a_refund_takes_unless_it_has_come_to_nothing(stripe, card, paid, status, returned):
    ref, charge = paid
    refund = stripe.account.refund(charge, 300, status)
    expected = [Reversal(ref, refund["id"], Fiat("EUR", 300), returned)]
    for kind in ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated"):
        assert await told(card, kind, {**refund, "amount": 1, "status": "succeeded"}) == expected
    other = stripe.account.refund(charge, 200)
    both = [Reversal(ref, other["id"], Fiat("EUR", 200)), *expected]
    assert await told(card, "charge.refunded", charge) == both


@pytest.mark.parametrize(
    ("status", "returned"),
    [
        ("needs_response", False),
        ("under_review", False),
        ("lost", False),
        ("appeal_under_review", False),
        ("won", True),
        ("prevented", True),
    ],
)
async def test_a_dispute_takes_until_it_is_won(stripe, card, paid, status, returned):
    ref, charge = paid
    dispute = stripe.account.dispute(charge, status=status)
    expected = [Reversal(ref, dispute["id"], Fiat("EUR", 1_250), returned)]
    # Whatever the event is called: funds are reinstated in part where a dispute is lost, too.
    for kind in ("created", "funds_withdrawn", "updated", "closed", "funds_reinstated"):
        assert await told(card, f"charge.dispute.{kind}", {**dispute, "status": "won"}) == expected


@pytest.mark.parametrize("status", ["warning_needs_response", "warning_under_review", "warning_closed"])
async def test_an_inquiry_takes_nothing(stripe, card, paid, status):
    assert await told(card, "charge.dispute.created", stripe.account.dispute(paid[1], status=status)) == []


async def test_the_payment_of_an_old_refund_is_found_by_its_charge(stripe, card, paid):
    ref, charge = paid
    refund = stripe.account.refund(charge, 300)
    refund["payment_intent"] = None
    assert await told(card, "refund.created", refund) == [Reversal(ref, refund["id"], Fiat("EUR", 300))]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "unheard_of"},
        {"status": None},
        {"amount": 0},
        {"amount": "1250"},
        {"currency": None},
        {"object": "x"},
    ],
    ids=str,
)
async def test_what_cannot_be_read_is_asked_for_again(stripe, card, paid, change):
    """Stripe calls again where it is not answered with 200."""
    refund, dispute = stripe.account.refund(paid[1]), stripe.account.dispute(paid[1])
    refund |= change
    dispute |= change
    for kind, about in (("refund.created", refund), ("charge.dispute.created", dispute)):
        with pytest.raises(ProviderUnavailable):
            await told(card, kind, about)


async def test_objects_of_the_other_mode_are_believed_nothing(stripe, card, paid):
    dispute = stripe.account.dispute(paid[1])
    dispute["livemode"] = True
    with pytest.raises(ProviderUnavailable):
        await told(card, "charge.dispute.created", {**dispute, "livemode": False})
    stripe.account.sessions[paid[0]]["livemode"] = True
    for kind, about in (
        ("checkout.session.completed", {"id": paid[0]}),
        ("refund.created", stripe.account.refund(paid[1])),
    ):
        with pytest.raises(ProviderUnavailable):
            await told(card, kind, about)


async def test_one_deposits_event_tells_of_no_other(stripe, card, paid):
    other = (await card.open(evolve(DEPOSIT, id="dep_2"))).ref
    # The labels of a session that somebody made who shares the account.
    stripe.account.sessions[other] |= {"metadata": {"lightphon_deposit": "dep_1"}}
    stripe.account.pay(other)
    assert await told(card, "checkout.session.completed", stripe.account.session(other)) == []
    assert await told(card, "checkout.session.completed", {"id": paid[0]}) == [
        PriceSettled(paid[0], Fiat("EUR", 1_250))
    ]


async def test_while_stripe_is_away_nothing_is_told(stripe, card, paid):
    stripe.refuse()
    with pytest.raises(ProviderUnavailable):
        await told(card, "checkout.session.completed", {"id": paid[0]})
    with pytest.raises(InvalidRequest):
        await card.webhook({}, b"{}")
