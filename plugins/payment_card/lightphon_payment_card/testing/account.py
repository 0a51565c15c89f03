"""A Stripe account in memory: sessions, charges, refunds and disputes in the full shape of Stripe's API, and its
events, signed with Stripe's own library. May be used from several threads, one at a time."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from stripe import WebhookSignature

SECRET_KEY = "sk_test_of_the_tests"  # noqa: S105 - of no account
WEBHOOK_SECRET = "whsec_of_the_tests"  # noqa: S105
API_VERSION = "2026-10-28.endive"
LEAST_OPEN_S, MOST_OPEN_S = 30 * 60, 24 * 3_600
LEAST_CENTS, MOST_CENTS = 50, 99_999_999

Object = dict[str, Any]


class Wrong(Exception):
    """Stripe would refuse this, with such a code."""

    def __init__(self, message: str, *, code: str = "parameter_invalid", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Account:
    """In test mode. `url` is where its pages are."""

    def __init__(self, url: str = "https://checkout.stripe.com") -> None:
        self.url = url
        self.sessions: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self._by_key: dict[str, tuple[Object, str]] = {}

    def create_session(self, asked: Object, key: str) -> Object:
        """A new session, or the one that was made with this idempotency key."""
        if key in self._by_key:
            before, name = self._by_key[key]
            if before != asked:
                raise Wrong("Keys for idempotent requests can only be used with the same parameters.", code="")
            return self.sessions[name]
        made = self._session(asked)
        self.sessions[made["id"]] = made
        self._by_key[key] = asked, made["id"]
        return made

    def session(self, name: str) -> Object:
        """The session of this id."""
        return _one(self.sessions, name, "checkout.session")

    def sessions_of(self, payment_intent: str | None) -> list[Object]:
        """Those of a payment, or all."""
        return [each for each in self.sessions.values() if payment_intent in (None, each["payment_intent"])]

    def pay(self, name: str, cents: int | None = None) -> Object:
        """Somebody pays at the session's page: what it asks for, unless told. Its charge."""
        session = self.complete(name, "paid")
        session["amount_total"] = session["amount_subtotal"] = cents or session["amount_total"]
        return self.charged(session)

    def charged(self, session: Object) -> Object:
        """The charge of a session that was paid."""
        charge = {
            "id": _id("ch"),
            "object": "charge",
            "amount": session["amount_total"],
            "amount_captured": session["amount_total"],
            "amount_refunded": 0,
            "currency": session["currency"],
            "created": int(time.time()),
            "captured": True,
            "disputed": False,
            "livemode": False,
            "metadata": dict(session["metadata"]),
            "paid": True,
            "payment_intent": session["payment_intent"],
            "refunded": False,
            "status": "succeeded",
        }
        self.charges[charge["id"]] = charge
        return charge

    def complete(self, name: str, payment_status: str) -> Object:
        """The page is done with; the payment may still be on its way ("unpaid")."""
        session = _one(self.sessions, name, "checkout.session")
        session |= {"status": "complete", "payment_status": payment_status, "url": None}
        session["payment_intent"] = session["payment_intent"] or _id("pi")
        return session

    def expire(self, name: str) -> Object:
        """Nobody paid in time."""
        session = _one(self.sessions, name, "checkout.session")
        session |= {"status": "expired", "url": None, "expires_at": int(time.time()) - 1}
        return session

    def refund(self, charge: Object, cents: int | None = None, status: str = "succeeded") -> Object:
        """Money goes back, by whoever works the dashboard."""
        refund = {
            "id": _id("re"),
            "object": "refund",
            "amount": cents or charge["amount"],
            "balance_transaction": _id("txn"),
            "charge": charge["id"],
            "created": int(time.time()),
            "currency": charge["currency"],
            "destination_details": {"card": {"type": "refund"}, "type": "card"},
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": None,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": status,
            "transfer_reversal": None,
        }
        charge["amount_refunded"] += refund["amount"]
        charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
        self.refunds[refund["id"]] = refund
        return refund

    def dispute(self, charge: Object, cents: int | None = None, status: str = "needs_response") -> Object:
        """The cardholder's bank wants the money back."""
        dispute = {
            "id": _id("dp"),
            "object": "dispute",
            "amount": cents or charge["amount"],
            "balance_transactions": [],
            "charge": charge["id"],
            "created": int(time.time()),
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": {},
            "evidence_details": {"due_by": int(time.time()) + 7 * 86_400, "has_evidence": False},
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": "fraudulent",
            "status": status,
        }
        charge["disputed"] = True
        self.disputes[dispute["id"]] = dispute
        return dispute

    def found(self, kind: str, name: str) -> Object:
        """The charge, refund or dispute of this id."""
        return _one({"charge": self.charges, "refund": self.refunds, "dispute": self.disputes}[kind], name, kind)

    def _session(self, asked: Object) -> Object:
        cents, currency = _priced(asked)
        now = int(time.time())
        expires_at = int(asked.get("expires_at", now + MOST_OPEN_S))
        if not now + LEAST_OPEN_S <= expires_at <= now + MOST_OPEN_S:
            raise Wrong("The `expires_at` timestamp must be from 30 minutes to 24 hours from now.")
        if asked["mode"] != "payment" or not asked["success_url"].startswith(("http://", "https://")):
            raise Wrong("Not a valid URL, or another mode than is spoken here.")
        name = f"cs_test_{secrets.token_urlsafe(40).replace('-', 'a').replace('_', 'b')}"
        return {
            "id": name,
            "object": "checkout.session",
            "adaptive_pricing": {"enabled": False},
            "allow_promotion_codes": None,
            "amount_subtotal": cents,
            "amount_total": cents,
            "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
            "cancel_url": asked.get("cancel_url"),
            "client_reference_id": asked.get("client_reference_id"),
            "client_secret": None,
            "created": now,
            "currency": currency,
            "currency_conversion": None,
            "customer": None,
            "customer_creation": "if_required",
            "customer_details": None,
            "expires_at": expires_at,
            "invoice": None,
            "livemode": False,
            "locale": None,
            "metadata": asked.get("metadata", {}),
            "mode": "payment",
            "payment_intent": None,
            "payment_link": None,
            "payment_method_types": ["card"],
            "payment_status": "unpaid",
            "status": "open",
            "success_url": asked["success_url"],
            "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
            "ui_mode": "hosted",
            "url": f"{self.url}/c/pay/{name}",
        }


def event(kind: str, about: Object, **changes: Any) -> Object:
    """An event as Stripe sends it: the object as it is now."""
    return {
        "id": _id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": int(time.time()),
        "data": {"object": json.loads(json.dumps(about))},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        **changes,
    }


def signed(content: Object, *, secret: str = WEBHOOK_SECRET, age_s: int = 0) -> tuple[Mapping[str, str], bytes]:
    """Headers and body of the call of the webhook that brings an event, signed so many seconds ago."""
    body = json.dumps(content)
    header = WebhookSignature.generate_signature_header(body, secret, timestamp=int(time.time()) - age_s)
    return {"content-type": "application/json", "stripe-signature": header}, body.encode()


def _priced(asked: Object) -> tuple[int, str]:
    """Cents and currency of the one line item."""
    if asked.get("payment_method_types") != ["card"] or len(asked["line_items"]) != 1:
        raise Wrong("Another request than the plugin is to make.")
    data = asked["line_items"][0]["price_data"]
    cents = int(data["unit_amount"]) * int(asked["line_items"][0]["quantity"])
    if cents < LEAST_CENTS:
        raise Wrong("The Checkout Session's total amount is too small.", code="amount_too_small")
    if cents > MOST_CENTS:
        raise Wrong("The Checkout Session's total amount is too large.", code="amount_too_large")
    return cents, data["currency"]


def _one(objects: Mapping[str, Object], name: str, kind: str) -> Object:
    if name not in objects:
        raise Wrong(f"No such {kind}: '{name}'", code="resource_missing", status=404)
    return objects[name]


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"
