"""A server that speaks as phoenixd does, after its published API. It is strict about what it is asked."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from lightphon_payment_lightning.testing.loopback import Answer, LoopbackServer, Request, Wire
from lightphon_payment_lightning.testing.node import Node, Receivable, Sent

PASSWORD = "password-of-the-tests"  # noqa: S105 - the server is ours
WEBHOOK_SECRET = "webhook-secret-of-the-tests"  # noqa: S105
_AUTHORIZATION = f"Basic {b64encode(f':{PASSWORD}'.encode()).decode()}"
_NOT_FOUND = Answer("Not found", 404)


class PhoenixdServer(LoopbackServer):
    """`subscribed`: somebody reads the WebSocket. `keeps`: sats that it keeps of each payment, for a channel.
    `limited`: the password is the one that cannot pay. `webhook_urls`: those that invoices were made with."""

    changing = frozenset({"/createinvoice", "/payinvoice"})

    def __init__(self) -> None:
        super().__init__()
        self.node = Node()
        self.subscribed = asyncio.Event()
        self.keeps = 0
        self.limited = False
        self.webhook_urls: list[str] = []

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        assert request.headers.get("authorization") == _AUTHORIZATION, "each request brings the password"
        match [request.method, *request.path.strip("/").split("/")]:
            case ["POST", "createinvoice"]:
                return self._createinvoice(**request.form())
            case ["POST", "payinvoice"]:
                if self.limited:
                    return Answer(
                        "Invalid authentication (use basic auth with the http password set in phoenix.conf)", 401
                    )
                return await self._payinvoice(**request.form())
            case ["GET", "payments", "incoming", payment_hash]:
                found = self.node.receivables.get(payment_hash)
                return _NOT_FOUND if found is None else Answer(self._incoming(found))
            case ["GET", "payments", "incoming"]:
                return self._list_incoming(request)
            case ["GET", "payments", "outgoingbyhash", payment_hash]:
                sent = self.node.sent.get(payment_hash)
                return _NOT_FOUND if sent is None else Answer(_outgoing(sent))
            case ["GET", "payments", "outgoing"]:
                return self._list_outgoing(request)
            case ["GET", "websocket"]:
                await self._websocket(request, wire)
                return None
        return Answer("Unknown endpoint (check api doc)", 404)

    def webhook(self, paid: Receivable) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of what it would send to a webhook."""
        body = json.dumps(self._event(paid)).encode()
        signature = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        return {"content-type": "application/json", "x-phoenix-signature": signature}, body

    # The parameters of these are the fields of the forms: one that is not among them is a TypeError.

    def _createinvoice(
        self,
        *,
        amountSat: str,  # noqa: N803 - its own name
        description: str,
        externalId: str,  # noqa: N803
        expirySeconds: str,  # noqa: N803
        webhookUrl: str | None = None,  # noqa: N803
    ) -> Answer:
        assert len(description) <= 128, "phoenixd takes no longer ones"
        if webhookUrl is not None:
            self.webhook_urls.append(webhookUrl)
        made = self.node.receivable(
            int(amountSat) * 1_000, label=externalId, memo=description, expires_in_s=int(expirySeconds)
        )
        return Answer({"amountSat": int(amountSat), "paymentHash": made.payment_hash, "serialized": made.text})

    async def _payinvoice(self, *, invoice: str) -> Answer:
        known = next((each for each in self.node.sent.values() if each.text == invoice), None)
        if known is not None and known.state != "failed":
            reason = "this invoice has already been paid" if known.state == "paid" else "already in progress"
            return Answer({"type": "payment_failed", "paymentHash": known.payment_hash, "reason": reason})
        sent = self.node.begin(invoice)
        await sent.ended.wait()
        if sent.state == "failed":
            reason = "the recipient node rejected the payment"
            return Answer({"type": "payment_failed", "paymentHash": sent.payment_hash, "reason": reason})
        return Answer(
            {
                "type": "payment_sent",
                "recipientAmountSat": sent.amount // 1_000,
                "routingFeeSat": sent.fee // 1_000,
                "paymentId": "00000000-0000-4000-8000-000000000000",
                "paymentHash": sent.payment_hash,
                "paymentPreimage": "00" * 32,
            }
        )

    async def _websocket(self, request: Request, wire: Wire) -> None:
        with self.node.listen() as news:
            protocol = await wire.websocket(request)
            self.subscribed.set()
            draining = asyncio.ensure_future(wire.drain(protocol))
            try:
                while not draining.done():
                    heard = asyncio.ensure_future(news.get())
                    await asyncio.wait([heard, draining], return_when=asyncio.FIRST_COMPLETED)
                    if heard.done():
                        protocol.send_text(json.dumps(self._event(heard.result())).encode())
                        await wire.flush(protocol)
                    heard.cancel()
            finally:
                draining.cancel()

    def _list_incoming(self, request: Request) -> Answer:
        assert set(request.query) == {"from", "limit", "offset"}
        since, limit, offset = (int(request.query[name]) for name in ("from", "limit", "offset"))
        found = [each for each in reversed(self.node.paid_after(0)) if each.paid_at * 1_000 >= since]
        return Answer([self._incoming(each) for each in found[offset : offset + limit]])

    def _list_outgoing(self, request: Request) -> Answer:
        assert set(request.query) == {"from", "limit", "offset", "all"}
        assert request.query["all"] == "true", "otherwise it leaves out what is under way"
        since, limit, offset = (int(request.query[name]) for name in ("from", "limit", "offset"))
        found = [each for each in self.node.sent.values() if each.at * 1_000 >= since]
        return Answer([_outgoing(each) for each in found[offset : offset + limit]])

    def _event(self, paid: Receivable) -> Mapping[str, Any]:
        return {
            "type": "payment_received",
            "timestamp": int(time.time() * 1_000),
            "amountSat": self._kept(paid),
            "paymentHash": paid.payment_hash,
            "externalId": paid.label,
        }

    def _incoming(self, invoice: Receivable) -> Mapping[str, Any]:
        return {
            "type": "incoming_payment",
            "subType": "lightning",
            "paymentHash": invoice.payment_hash,
            "externalId": invoice.label,
            "description": invoice.memo,
            "invoice": invoice.text,
            "isPaid": invoice.received is not None,
            "isExpired": invoice.expires_at <= time.time(),
            "requestedSat": invoice.amount // 1_000,
            "receivedSat": self._kept(invoice),
            "fees": self.keeps * 1_000,
            "createdAt": int(invoice.created_at * 1_000),
            **({"completedAt": int(invoice.paid_at * 1_000)} if invoice.received is not None else {}),
        }

    def _kept(self, invoice: Receivable) -> int:
        return max((invoice.received or 0) // 1_000 - self.keeps, 0)


def _outgoing(sent: Sent) -> Mapping[str, Any]:
    fee = sent.fee if sent.state == "paid" else 0
    return {
        "type": "outgoing_payment",
        "subType": "lightning",
        "paymentId": "00000000-0000-4000-8000-000000000000",
        "paymentHash": sent.payment_hash,
        "isPaid": sent.state == "paid",
        "sent": (sent.amount + fee) // 1_000,
        "fees": fee,
        "invoice": sent.text,
        "createdAt": int(sent.at * 1_000),
        **({} if sent.state == "pending" else {"completedAt": int(sent.at * 1_000)}),
    }
