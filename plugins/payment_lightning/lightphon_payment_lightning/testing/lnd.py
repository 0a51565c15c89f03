"""A server that speaks as LND's REST API does, after its published API. It is strict about what it is asked."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from lightphon_payment_lightning.testing.loopback import Answer, LoopbackServer, Request, Wire
from lightphon_payment_lightning.testing.node import Node, Receivable, Sent

MACAROON = "0201036c6e64abcdef"
_STATUS = {"pending": "IN_FLIGHT", "paid": "SUCCEEDED", "failed": "FAILED"}
_REFUSED = {
    "locked": (500, {"code": 2, "message": "wallet locked, unlock it to enable full RPC access", "details": []}),
    "expired": (500, {"code": 2, "message": "invoice expired. Valid until 2026-11-23", "details": []}),
}


class LndServer(LoopbackServer):
    """`served`: what it was asked. `subscribed`: somebody reads the stream, or, as
    long as nothing was paid, the list. `refuses_to_pay`: the word for what it
    answers instead of paying, "locked" or "expired"."""

    changing = frozenset({"/v1/invoices", "/v2/router/send"})

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.node = Node()
        self.refuses_to_pay: str | None = None
        self.served: list[str] = []
        self.subscribed = asyncio.Event()

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        assert request.headers.get("grpc-metadata-macaroon") == MACAROON, "each request brings the macaroon"
        self.served.append(f"{request.method} {request.path}")
        match [request.method, *request.path.strip("/").split("/")]:
            case ["POST", "v1", "invoices"]:
                return self._add(request)
            case ["GET", "v1", "invoices", "subscribe"]:
                await self._subscribe(request, wire)
                return None
            case ["GET", "v1", "invoices"]:
                return self._list_invoices(request)
            case ["GET", "v1", "invoice", payment_hash]:
                found = self.node.receivables.get(payment_hash)
                return _not_found("unable to locate invoice") if found is None else Answer(_invoice(found))
            case ["POST", "v2", "router", "send"]:
                return await self._send(request, wire)
            case ["GET", "v2", "router", "track", encoded]:
                return await self._track(encoded, request, wire)
            case ["GET", "v1", "payments"]:
                return self._list_payments(request)
        return _not_found("Not Found")

    def _add(self, request: Request) -> Answer:
        body = json.loads(request.body)
        assert set(body) <= {"value_msat", "memo", "expiry", "private"}, "LND refuses fields that it does not know"
        made = self.node.receivable(
            int(_text(body["value_msat"])), memo=body["memo"], expires_in_s=int(_text(body["expiry"]))
        )
        return Answer(
            {"r_hash": _base64(made.payment_hash), "payment_request": made.text, "add_index": str(made.index)}
        )

    def _list_invoices(self, request: Request) -> Answer:
        assert set(request.query) <= {"reversed", "num_max_invoices", "index_offset"}
        assert request.query["reversed"] == "true", "the other way begins with the oldest"
        if not self.node.paid_after(0):
            self.subscribed.set()
        offset, most = int(request.query["index_offset"]), int(request.query["num_max_invoices"])
        before = [each for each in self.node.receivables.values() if not offset or each.index < offset]
        page = before[-most:]
        return Answer(
            {
                "invoices": [_invoice(each) for each in page],
                "first_index_offset": str(page[0].index if page else 0),
                "last_index_offset": str(page[-1].index if page else 0),
            }
        )

    async def _subscribe(self, request: Request, wire: Wire) -> None:
        assert set(request.query) <= {"settle_index", "add_index"}
        index = int(request.query.get("settle_index", "0"))
        with self.node.listen() as news:
            self.subscribed.set()
            for each in self.node.paid_after(index) if index else []:
                await wire.line({"result": _invoice(each)})
            while True:
                await wire.line({"result": _invoice(await news.get())})

    async def _send(self, request: Request, wire: Wire) -> Answer | None:
        body = json.loads(request.body)
        assert set(body) == {"payment_request", "fee_limit_msat", "timeout_seconds", "no_inflight_updates"}
        assert 0 < body["timeout_seconds"] <= 600, "0 is an error, or a minute, depending on the release"
        cap = int(_text(body["fee_limit_msat"]))
        if self.refuses_to_pay is not None:
            status, refusal = _REFUSED[self.refuses_to_pay]
            return Answer({"error": refusal}, status)
        known = next((each for each in self.node.sent.values() if each.text == body["payment_request"]), None)
        if known is not None and known.state != "failed":
            message = "invoice is already paid" if known.state == "paid" else "payment is in transition"
            return Answer({"error": {"code": 6, "message": message, "details": []}}, 409)
        sent = self.node.begin(body["payment_request"])
        if sent.fee > cap and sent.state == "paid":
            self.node.end(sent.payment_hash, "failed")
        if not body["no_inflight_updates"]:
            await wire.line({"result": _payment(sent)})
        await sent.ended.wait()
        await wire.line({"result": _payment(sent)})
        await wire.end()
        return None

    async def _track(self, encoded: str, request: Request, wire: Wire) -> Answer | None:
        assert set(request.query) <= {"no_inflight_updates"}
        sent = self.node.sent.get(urlsafe_b64decode(encoded).hex())
        if sent is None:
            return _not_found("payment isn't initiated")
        if sent.state == "pending" and request.query.get("no_inflight_updates") != "true":
            await wire.line({"result": _payment(sent)})
        await sent.ended.wait()
        await wire.line({"result": _payment(sent)})
        await wire.end()
        return None

    def _list_payments(self, request: Request) -> Answer:
        names = {"include_incomplete", "creation_date_start", "max_payments", "index_offset"}
        assert set(request.query) == names
        since, offset = int(request.query["creation_date_start"]), int(request.query["index_offset"])
        everything = request.query["include_incomplete"] == "true"
        found = [
            each
            for each in self.node.sent.values()
            if each.index > offset and int(each.at) >= since and (everything or each.state == "paid")
        ][: int(request.query["max_payments"])]
        last = found[-1].index if found else 0
        return Answer({"payments": [_payment(each) for each in found], "last_index_offset": str(last)})


def _invoice(invoice: Receivable) -> Mapping[str, Any]:
    state = "OPEN"
    if invoice.received is not None:
        state = "SETTLED"
    elif not invoice.expires_at:
        state = "CANCELED"
    return {
        "memo": invoice.memo,
        "r_hash": _base64(invoice.payment_hash),
        "value_msat": str(invoice.amount),
        "settled": invoice.received is not None,
        "creation_date": str(int(invoice.created_at)),
        "payment_request": invoice.text,
        "add_index": str(invoice.index),
        "settle_index": str(invoice.paid_index),
        "amt_paid_msat": str(invoice.received or 0),
        "state": state,
    }


def _payment(sent: Sent) -> Mapping[str, Any]:
    htlcs: Sequence[Any] = []
    return {
        "payment_hash": sent.payment_hash,
        "value_msat": str(sent.amount),
        "payment_request": sent.text,
        "status": _STATUS[sent.state],
        "fee_msat": str(sent.fee if sent.state == "paid" else 0),
        "creation_time_ns": str(int(sent.at * 1_000_000_000)),
        "htlcs": htlcs,
        "payment_index": str(sent.index),
        "failure_reason": "FAILURE_REASON_NO_ROUTE" if sent.state == "failed" else "FAILURE_REASON_NONE",
    }


def _not_found(message: str) -> Answer:
    return Answer({"code": 5, "message": message, "details": []}, 404)


def _text(value: object) -> str:
    assert isinstance(value, str), "64-bit numbers are text in LND's JSON"
    return value


def _base64(payment_hash: str) -> str:
    return b64encode(bytes.fromhex(payment_hash)).decode()
