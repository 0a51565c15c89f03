"""Deposits by card, asked for and looked up at a Stripe of ours."""

import logging
import time

import pytest
from attrs import evolve
from lightphon_payment_card.deposits import CardDeposits
from lightphon_payment_card.testing.payer import settings_for

from lightphon_core import (
    Fiat,
    Gone,
    InvalidRequest,
    NewDeposit,
    PriceSettled,
    ProviderUnavailable,
    Secret,
    Waiting,
)
from lightphon_core.testing import host_for

DEPOSIT = NewDeposit("dep_1", 1_000_000, "Deposit dep_1", 3_600, Fiat("EUR", 1_250), "https://ai.example.com/d/dep_1")


async def test_a_page_for_cards_alone_over_the_price_for_half_an_hour(stripe, card):
    begun = time.time()
    opened = await card.open(DEPOSIT)
    session = stripe.account.session(opened.ref)
    assert opened.pay == {"checkout_url": session["url"]}
    assert begun + 1_800 <= opened.expires_at <= begun + 1_900
    assert (session["amount_total"], session["currency"]) == (1_250, "eur")
    assert (session["client_reference_id"], session["metadata"]) == ("dep_1", {"lightphon_deposit": "dep_1"})
    assert session["success_url"] == session["cancel_url"] == "https://ai.example.com/d/dep_1"
    assert await card.lookup(opened.ref) == Waiting()


async def test_the_same_deposit_has_one_page_however_often_it_is_asked_for(stripe, card, monkeypatch):
    monkeypatch.setattr(time, "time", lambda now=time.time(): now)  # noqa: B008 - the time stands still
    assert await card.open(DEPOSIT) == await card.open(DEPOSIT)
    assert len(stripe.account.sessions) == 1


async def test_nothing_of_the_payer_is_logged_at_any_level(stripe, card, caplog):
    caplog.set_level(logging.DEBUG)
    opened = await card.open(DEPOSIT)
    stripe.account.sessions[opened.ref]["customer_details"] = {"email": "ann@example.com"}
    stripe.account.pay(opened.ref)
    await card.lookup(opened.ref)
    for said in ("ann@example.com", "1250", "client_reference_id"):
        assert said not in caplog.text


@pytest.mark.parametrize(
    "price", [None, Fiat("USD", 1_250), Fiat("EUR", 49), Fiat("EUR", 100_000_000), Fiat("EUR", -5)]
)
async def test_what_no_card_pays_is_refused_before_stripe_is_asked(stripe, card, price):
    with pytest.raises(InvalidRequest) as refused:
        await card.open(evolve(DEPOSIT, price=price))
    assert refused.value.param == "amount_eur"
    assert not stripe.account.sessions


async def test_an_amount_that_stripe_refuses_is_the_payers_to_mend(stripe, card, monkeypatch):
    monkeypatch.setattr("lightphon_payment_card.testing.account.LEAST_CENTS", 5_000)
    with pytest.raises(InvalidRequest) as refused:
        await card.open(DEPOSIT)
    assert refused.value.param == "amount_eur"


async def test_without_a_way_back_nothing_is_opened(stripe):
    provider = CardDeposits(host_for(evolve(settings_for(stripe), return_url=None), plugin="card"))
    with pytest.raises(ProviderUnavailable, match="public_url"):
        await provider.open(evolve(DEPOSIT, return_url=None))
    assert (await provider.open(DEPOSIT)).ref in stripe.account.sessions
    await provider.stop()


async def test_a_key_that_stripe_does_not_know_is_shown_to_nobody(stripe):
    key = "sk_test_of_somebody_else"
    provider = CardDeposits(host_for(evolve(settings_for(stripe), secret_key=Secret(key)), plugin="card"))
    for work in (provider.open(DEPOSIT), provider.lookup("cs_test_1")):
        with pytest.raises(ProviderUnavailable) as refused:
            await work
        assert key not in f"{refused.value!r}{refused.value.__cause__!r}"
    await provider.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"amount_total": 1_251},
        {"currency": "usd"},
        {"client_reference_id": "dep_2"},
        {"metadata": {}},
        {"livemode": True},
        {"url": None},
        {"expires_at": None},
        {"payment_status": "paid", "status": "complete"},
    ],
    ids=str,
)
async def test_a_page_that_is_not_what_was_asked_for_is_shown_to_nobody(stripe, card, monkeypatch, change):
    made = stripe.account.create_session
    monkeypatch.setattr(stripe.account, "create_session", lambda *given: {**made(*given), **change})
    with pytest.raises(ProviderUnavailable):
        await card.open(DEPOSIT)


async def test_how_a_deposit_stands(stripe, card):
    opened = await card.open(DEPOSIT)
    stripe.account.complete(opened.ref, "unpaid")
    assert await card.lookup(opened.ref) == Waiting()
    stripe.account.pay(opened.ref)
    assert await card.lookup(opened.ref) == PriceSettled(opened.ref, Fiat("EUR", 1_250))
    other = await card.open(evolve(DEPOSIT, id="dep_2"))
    stripe.account.expire(other.ref)
    assert await card.lookup(other.ref) == Gone()
    assert await card.lookup("cs_test_nobodys") == Gone()


@pytest.mark.parametrize(
    "change",
    [
        {"object": "payment_link"},
        {"id": "cs_test_another"},
        {"mode": "setup"},
        {"livemode": True},
        {"livemode": None},
        {"client_reference_id": "dep_2"},
        {"client_reference_id": None},
        {"metadata": {"lightphon_deposit": "dep_2"}},
        {"metadata": None},
        {"payment_status": "no_payment_required"},
        {"payment_status": "paid", "status": "open"},
        {"amount_total": 0},
        {"amount_total": True},
        {"amount_total": "1250"},
        {"amount_total": None},
        {"currency": None},
        {"currency": ["eur"]},
    ],
    ids=str,
)
async def test_a_paid_session_that_is_not_as_it_should_be_credits_nobody(stripe, card, change):
    opened = await card.open(DEPOSIT)
    stripe.account.pay(opened.ref)
    stripe.account.sessions[opened.ref] |= change
    with pytest.raises(ProviderUnavailable):
        await card.lookup(opened.ref)
