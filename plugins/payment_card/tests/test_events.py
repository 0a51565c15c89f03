"""What a call of the webhook must prove, and what it is about."""

import pytest
from lightphon_payment_card.events import EVENTS, SIGNATURE, Kind, Subject, subject
from lightphon_payment_card.testing.account import WEBHOOK_SECRET, event, signed

from lightphon_core import InvalidRequest

SESSION = {"id": "cs_test_1", "object": "checkout.session", "livemode": False}
COMPLETED = event("checkout.session.completed", SESSION)


def read(headers, body, *, live=False):
    return subject(body, headers.get(SIGNATURE, ""), WEBHOOK_SECRET, tolerance_s=300, live=live)


def test_a_signed_event_says_what_it_is_about():
    assert read(*signed(COMPLETED)) == Subject(Kind.SESSION, "cs_test_1")
    about = {"dispute": Kind.DISPUTE, "refund.": Kind.REFUND, "refunded": Kind.CHARGE}
    for kind in EVENTS:
        found = read(*signed(event(kind, {"id": "xx_1", "livemode": False})))
        expected = next((each for word, each in about.items() if word in kind), Kind.SESSION)
        assert found == Subject(expected, "xx_1"), kind


def test_what_is_of_no_use_is_no_error():
    assert read(*signed(event("customer.created", {"id": "cus_1"}))) is None


@pytest.mark.parametrize("age_s", [301, 86_400])
def test_an_old_signature_is_refused(age_s):
    with pytest.raises(InvalidRequest, match="wrong or too old"):
        read(*signed(COMPLETED, age_s=age_s))
    assert read(*signed(COMPLETED, age_s=250)) is not None


def test_only_the_secret_signs_and_only_the_body_that_was_signed():
    headers, body = signed(COMPLETED)
    wrong = headers[SIGNATURE]
    calls = [
        ({}, body),
        (headers, body.replace(b"cs_test_1", b"cs_test_2")),
        (headers, body + b" "),
        signed(COMPLETED, secret="whsec_of_another_endpoint"),
        *(
            ({SIGNATURE: text}, body)
            for text in (
                "",
                "é",
                wrong.replace("v1=", "v0="),
                wrong[:-1],
                wrong.split(",")[1],
                "t=x,v1=y",
                "t=9999999999999999999999,v1=é",
                f"{'t=1,' * 5_000}{wrong}",
            )
        ),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest, match="wrong or too old") as refused:
            read(*call)
        assert refused.value.__cause__ is None
    # Stripe signs with the old and the new secret, while one is replaced.
    stamp, _, signature = wrong.partition(",")
    assert read({SIGNATURE: f"{stamp},v1={'0' * 64},{signature}"}, body) is not None


@pytest.mark.parametrize("live", [True, False])
def test_the_other_mode_is_refused(live):
    with pytest.raises(InvalidRequest, match="mode alone"):
        read(*signed(event("checkout.session.completed", SESSION, livemode=not live)), live=live)
    assert read(*signed(event("checkout.session.completed", SESSION, livemode=live)), live=live) is not None
    nothing = {key: value for key, value in COMPLETED.items() if key != "livemode"}
    nothing["data"] = {"object": {"id": "cs_test_1"}}
    with pytest.raises(InvalidRequest, match="mode alone"):
        read(*signed(nothing), live=live)


@pytest.mark.parametrize(
    "content",
    [
        [],
        None,
        "event",
        {},
        {**COMPLETED, "data": []},
        {**COMPLETED, "data": {"object": "cs_test_1"}},
        {**COMPLETED, "type": 7},
        *(event("checkout.session.completed", {"id": name}) for name in (None, 7, "", "cs/../x", "x" * 256, "cs_é")),
    ],
    ids=range(13),
)
def test_what_is_signed_and_no_event_is_refused(content):
    with pytest.raises(InvalidRequest, match="no event"):
        read(*signed(content))
