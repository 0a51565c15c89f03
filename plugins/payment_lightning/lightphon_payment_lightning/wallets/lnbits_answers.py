"""What LNbits says of payments, read: its records, the messages of its websocket, and its webhooks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TypeGuard

from lightphon_core import Failed, InFlight, Paid, PaymentState, ProviderUnavailable
from lightphon_payment_lightning.wallets.reading import Row, integer, text

_HEX = frozenset("0123456789abcdef")


def state_of(outgoing: Row) -> PaymentState:
    """How a payment that leaves the wallet stands."""
    match text(outgoing, "status"):
        case "success":
            return Paid(abs(integer(outgoing, "fee")))
        case "failed":
            return Failed("The Lightning wallet could not pay: there was no way to the payee, or not enough money.")
        case _:
            return InFlight()


def arrived(message: str | bytes) -> str | None:
    """The payment hash of what a message says has come in."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return None
    payment = said.get("payment") if isinstance(said, dict) else None
    if not isinstance(payment, dict) or payment.get("status") != "success" or type(payment.get("amount")) is not int:
        return None
    payment_hash = payment.get("payment_hash")
    return payment_hash if payment["amount"] > 0 and _is_hash(payment_hash) else None


def named(body: bytes) -> str | None:
    """The payment hash that a webhook names, which is JSON in JSON; None where it is none of LNbits."""
    try:
        said = json.loads(body)
        said = json.loads(said) if isinstance(said, str) else said
    except (ValueError, RecursionError):
        return None
    payment_hash = said.get("payment_hash") if isinstance(said, dict) else None
    return payment_hash if _is_hash(payment_hash) else None


def _is_hash(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) == 64 and _HEX.issuperset(value)


def when(of: Row, name: str) -> float:
    """Seconds since 1970. LNbits means UTC where it names no zone."""
    try:
        at = datetime.fromisoformat(text(of, name))
    except ValueError:
        raise ProviderUnavailable("LNbits did not answer as its API says.") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
