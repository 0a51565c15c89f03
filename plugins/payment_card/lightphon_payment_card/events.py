"""What Stripe's webhooks are about. Nothing that they say is believed but that: each object is read again.

So it does not matter which version of Stripe's API an endpoint was made with, and in which order its events come.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import frozen
from stripe import SignatureVerificationError, WebhookSignature

from lightphon_core import InvalidRequest

SIGNATURE = "stripe-signature"
MAX_SIGNATURE = 4_096


class Kind(StrEnum):
    """Kinds of Stripe's objects, by the prefix of their ids."""

    SESSION = "cs"
    CHARGE = "ch"
    REFUND = "re"
    DISPUTE = "dp"


_ABOUT = {
    "checkout.session.completed": Kind.SESSION,
    "checkout.session.async_payment_succeeded": Kind.SESSION,
    "checkout.session.async_payment_failed": Kind.SESSION,
    "checkout.session.expired": Kind.SESSION,
    "charge.refunded": Kind.CHARGE,
    "charge.refund.updated": Kind.REFUND,
    "refund.created": Kind.REFUND,
    "refund.updated": Kind.REFUND,
    "refund.failed": Kind.REFUND,
    "charge.dispute.created": Kind.DISPUTE,
    "charge.dispute.updated": Kind.DISPUTE,
    "charge.dispute.closed": Kind.DISPUTE,
    "charge.dispute.funds_withdrawn": Kind.DISPUTE,
    "charge.dispute.funds_reinstated": Kind.DISPUTE,
}
EVENTS = tuple(_ABOUT)
"""The events that an endpoint should send."""

# Older refunds and disputes have other prefixes, and an account may have its own: only the shape is looked at.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,254}", re.ASCII)


@frozen
class Subject:
    """An object that something has happened to."""

    kind: Kind
    id: str


def subject(body: bytes, header: str, secret: str, *, tolerance_s: int, live: bool) -> Subject | None:
    """What a call of the webhook is about, once its signature and age are proven; None where that is nothing of ours.

    Raises:
        InvalidRequest: it is not signed with `secret`, older than `tolerance_s`, of the other mode, or no event.
    """
    _check_signature(body, header, secret, tolerance_s)
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise _unreadable() from None
    data = event.get("data") if isinstance(event, dict) else None
    found = data.get("object") if isinstance(data, dict) else None
    if not isinstance(found, dict) or not isinstance(event.get("type"), str):
        raise _unreadable()
    if _mode(event, found) is not live:
        raise InvalidRequest(f"This server takes events of Stripe's {'live' if live else 'test'} mode alone.")
    kind = _ABOUT.get(event["type"])
    if kind is None:
        return None
    name = found.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise _unreadable()
    return Subject(kind, name)


def _check_signature(body: bytes, header: str, secret: str, tolerance_s: int) -> None:
    # The library compares text, which must be ASCII, and quotes the body in its errors.
    if not header.isascii() or len(header) > MAX_SIGNATURE:
        raise _unsigned()
    try:
        WebhookSignature.verify_header(body, header, secret, tolerance_s)
    except (SignatureVerificationError, ValueError):
        raise _unsigned() from None


def _mode(event: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    """Whether it is of the live mode: every event of Stripe's says so, and most objects do."""
    return event.get("livemode", found.get("livemode"))


def _unsigned() -> InvalidRequest:
    return InvalidRequest("The signature of this webhook is wrong or too old.")


def _unreadable() -> InvalidRequest:
    return InvalidRequest("This is no event of Stripe's.")
