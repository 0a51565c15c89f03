"""LND, over its REST API.

Read in LND's own lightning.proto and router.proto (August 2026): 64-bit numbers are strings, bytes are base64, in a
path the URL-safe one. A stream is JSON lines, {"result": ...} or {"error": ...}; its head comes with its first line.
"""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from attrs import field, frozen

from lightphon_core import (
    DepositState,
    Event,
    Failed,
    Gone,
    Host,
    InFlight,
    NewDeposit,
    NotKnown,
    Outgoing,
    Paid,
    Payment,
    PaymentState,
    ProviderUnavailable,
    Secret,
    Settled,
    Waiting,
)
from lightphon_payment_lightning.daemon import TIMEOUT_S, Daemon, Rejected
from lightphon_payment_lightning.wallets.access import is_one_word, is_url
from lightphon_payment_lightning.wallets.asking import PATIENCE_S, afterwards, patiently
from lightphon_payment_lightning.wallets.reading import base64, hexadecimal, items, number, text, unexpected
from lightphon_payment_lightning.wallets.wallet import Wallet

SEARCH_S = 60
"""How long LND looks for routes before it gives a payment up."""
PAGE = 100
"""Invoices or payments in one answer: a payment with many parts is tens of kilobytes."""
_NOT_FOUND, _ALREADY_EXISTS = 5, 6
"""Of gRPC's status codes."""
_CURSOR = "lnd:"
_REASONS = {
    "FAILURE_REASON_TIMEOUT": "No route was found in time.",
    "FAILURE_REASON_NO_ROUTE": "There is no route to the recipient within the fee cap.",
    "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS": "The recipient does not take this payment.",
    "FAILURE_REASON_INSUFFICIENT_BALANCE": "The gateway's Lightning channels have not enough money at the moment.",
}


@frozen
class LndSettings:
    """LND, over its REST API."""

    url: str = field(validator=is_url, metadata={"help": "Its REST address.", "example": "https://127.0.0.1:8080"})
    macaroon: Secret = field(
        validator=is_one_word,
        metadata={"help": "A macaroon, in hex, that may read and write invoices, and read and write offchain."},
    )
    certificate: Path | None = field(
        default=None, metadata={"help": "Its tls.cert, where no public authority has signed it."}
    )
    private_channels: bool = field(
        default=False,
        metadata={"help": "Whether invoices name its private channels: needed where it has no others."},
    )


class Lnd(Wallet):
    """A wallet that is an LND. Its cursor is the `settle_index` of an invoice."""

    pushes = True
    patience_s = PATIENCE_S
    poll_s = 1.0

    def __init__(self, settings: LndSettings, host: Host[Any]) -> None:
        del host
        self._private = settings.private_channels
        headers = {"Grpc-Metadata-macaroon": settings.macaroon.reveal()}
        self._daemon = Daemon(settings.url, headers=headers, ca=settings.certificate)

    async def stop(self) -> None:
        await self._daemon.close()

    async def invoice(self, deposit: NewDeposit) -> str:
        content = {
            "value_msat": str(deposit.amount),
            "memo": deposit.memo,
            "expiry": str(deposit.expires_in_s),
            "private": self._private,
        }
        return text(await self._ask("POST", "/v1/invoices", content=content), "payment_request")

    async def received(self, payment_hash: str) -> DepositState:
        try:
            invoice = await self._daemon.ask("GET", f"/v1/invoice/{payment_hash}")
        except Rejected as error:
            if _is_not_known(error):
                return Gone()
            raise unexpected() from error
        match text(invoice, "state"):
            case "SETTLED":
                return Settled(payment_hash, number(invoice, "amt_paid_msat"))
            case "CANCELED":
                return Gone()
            case _:
                return Waiting()

    async def settlements(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        # An index that LND has not reached is another LND's: it would stay silent until it has.
        latest = max((number(invoice, "settle_index") for invoice in await self._settled()), default=0)
        last = latest
        if cursor is not None and cursor.startswith(_CURSOR):
            last = min(int(cursor.removeprefix(_CURSOR)), latest)
        else:
            yield Event(None, f"{_CURSOR}{last}")
        while last == 0:
            # To LND 0 is "from now on", and a stream that is silent does not say whether it has begun: the first
            # payments of a node's life are asked for.
            first = await self._settled(every=True)
            for invoice in sorted(first, key=lambda invoice: number(invoice, "settle_index")):
                last = number(invoice, "settle_index")
                yield _settlement(invoice)
            if last == 0:
                await asyncio.sleep(self.poll_s)
        lines = self._daemon.lines("/v1/invoices/subscribe", params={"settle_index": last})
        try:
            async with aclosing(lines):
                async for line in lines:
                    invoice = _result(line)
                    if text(invoice, "state") == "SETTLED":
                        yield _settlement(invoice)
        except Rejected as error:
            raise unexpected() from error

    async def pay(self, payment: Payment) -> PaymentState:
        return await patiently(self, payment.ref, self._send(payment), self.patience_s)

    async def payment(self, payment_hash: str) -> PaymentState:
        # Without no_inflight_updates: with it, LND would not answer before the payment has ended.
        lines = self._daemon.lines(f"/v2/router/track/{urlsafe_b64encode(bytes.fromhex(payment_hash)).decode()}")
        try:
            async with asyncio.timeout(TIMEOUT_S), aclosing(lines):
                async for line in lines:
                    return _state(_result(line))
        except TimeoutError:
            raise ProviderUnavailable("The Lightning wallet does not answer at the moment.") from None
        except Rejected as error:
            if _is_not_known(error):
                return NotKnown()
            raise unexpected() from error
        raise ProviderUnavailable("The Lightning wallet broke its answer off.")

    async def payments(self, since: float) -> Sequence[Outgoing]:
        found: list[Outgoing] = []
        params: dict[str, str | int] = {
            "include_incomplete": "true",
            "creation_date_start": max(int(since), 0),
            "max_payments": PAGE,
            "index_offset": 0,
        }
        while page := items(answer := await self._ask("GET", "/v1/payments", params=params), "payments"):
            found += [
                Outgoing(
                    hexadecimal(each, "payment_hash"),
                    number(each, "value_msat"),
                    number(each, "creation_time_ns") / 1_000_000_000,
                    _state(each),
                )
                for each in page
            ]
            params["index_offset"] = number(answer, "last_index_offset")
        return found

    async def _send(self, payment: Payment) -> PaymentState:
        content = {
            "payment_request": payment.invoice,
            "fee_limit_msat": str(payment.fee_cap),
            "timeout_seconds": SEARCH_S,
            "no_inflight_updates": True,
        }
        lines = self._daemon.lines("/v2/router/send", method="POST", content=content)
        try:
            async with aclosing(lines):
                async for line in lines:
                    state = _state(_result(line))
                    if not isinstance(state, InFlight):
                        return state
        except Rejected as error:
            state = await afterwards(self.payment(payment.ref))
            if not isinstance(state, NotKnown):
                return state
            if _code(error.answer) not in (None, _ALREADY_EXISTS):
                # LND itself has answered, after which it will not begin, and it knows of no such payment.
                return Failed("The gateway's Lightning wallet refused to pay this invoice.")
            raise unexpected() from error
        raise ProviderUnavailable("The Lightning wallet broke its answer off.")

    async def _settled(self, *, every: bool = False) -> Sequence[Mapping[str, Any]]:
        """Settled invoices: those of the latest page that has any, or all. An earlier page may have one that was paid
        later: whoever begins at the highest index of these hears of some twice, and misses none."""
        found: list[Mapping[str, Any]] = []
        params: dict[str, str | int] = {"reversed": "true", "num_max_invoices": PAGE, "index_offset": 0}
        while page := items(answer := await self._ask("GET", "/v1/invoices", params=params), "invoices"):
            found += [invoice for invoice in page if text(invoice, "state") == "SETTLED"]
            if found and not every:
                break
            params["index_offset"] = number(answer, "first_index_offset")
        return found

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            return await self._daemon.ask(method, path, **more)
        except Rejected as error:
            raise unexpected() from error


def _settlement(invoice: Mapping[str, Any]) -> Event:
    change = Settled(base64(invoice, "r_hash"), number(invoice, "amt_paid_msat"))
    return Event(change, f"{_CURSOR}{number(invoice, 'settle_index')}")


def _state(payment: Mapping[str, Any]) -> PaymentState:
    match text(payment, "status"):
        case "SUCCEEDED":
            return Paid(number(payment, "fee_msat"))
        case "FAILED":
            reason = payment.get("failure_reason")
            return Failed(_REASONS.get(reason if isinstance(reason, str) else "", "The payment failed."))
        case "IN_FLIGHT" | "INITIATED":
            return InFlight()
        case _:
            raise unexpected()


def _result(line: Any) -> Mapping[str, Any]:
    """What a line of a stream brings. Raises `Rejected`, as the head of an answer would, where it is an error."""
    result = line.get("result") if isinstance(line, dict) else None
    if not isinstance(result, dict):
        raise Rejected(500, line)
    return result


def _code(answer: Any) -> int | None:
    """The gRPC status of an error of LND's own; None where it is something else's, such as a proxy's."""
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        answer = answer["error"]
    if not isinstance(answer, dict) or not isinstance(answer.get("message"), str):
        return None
    code = answer.get("code", answer.get("grpc_code"))
    return code if isinstance(code, int) else None


def _is_not_known(error: Rejected) -> bool:
    """Whether LND says that it has no such thing. The same code with "Not Found" is its word for an unknown path."""
    return _code(error.answer) == _NOT_FOUND and '"Not Found"' not in json.dumps(error.answer)
