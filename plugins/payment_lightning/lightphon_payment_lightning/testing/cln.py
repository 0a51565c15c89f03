"""A server that speaks as Core Lightning's clnrest does, after its published schemas. It is strict about what it is
asked."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any

from lightphon_payment_lightning.testing.loopback import Answer, LoopbackServer, Request, Wire
from lightphon_payment_lightning.testing.node import Node, Receivable, Sent

RUNE = "rune-of-the-tests=="
_STATUS = {"pending": "pending", "paid": "complete", "failed": "failed"}


class ClnServer(LoopbackServer):
    """`served`: the methods that were asked for. `waiting`: somebody waits for payments. `fails_with`: the code and the
    HTTP status of what xpay answers instead of paying. `suffix`: what follows amounts, "msat" in old releases."""

    changing = frozenset({"/v1/invoice", "/v1/xpay"})

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self.node = Node()
        self.served: list[str] = []
        self.waiting = asyncio.Event()
        self.fails_with: tuple[int, int] | None = None
        self.leaves_parts = False
        """Whether xpay begins before it fails with `fails_with`."""
        self.suffix = ""

    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        del wire
        assert request.headers.get("rune") == RUNE, "each request brings the rune"
        assert request.method == "POST", "clnrest takes methods by POST alone"
        method, body = request.path.removeprefix("/v1/"), json.loads(request.body)
        self.served.append(method)
        match method:
            case "invoice":
                return self._invoice(**body)
            case "listinvoices":
                return self._listinvoices(**body)
            case "waitanyinvoice":
                return await self._waitanyinvoice(**body)
            case "xpay":
                return await self._xpay(**body)
            case "listpays":
                return self._listpays(**body)
        return _error(-32601, "Unknown command", 404)

    # The parameters of these are those of the methods: a field that is not among them is a TypeError.

    def _invoice(self, *, amount_msat: int, label: str, description: str, expiry: int) -> Answer:
        assert type(amount_msat) is int, "amounts are whole millisatoshi"
        if any(each.label == label for each in self.node.receivables.values()):
            return _error(900, "Duplicate label")
        made = self.node.receivable(amount_msat, label=label, memo=description, expires_in_s=expiry)
        return Answer(
            {"payment_hash": made.payment_hash, "bolt11": made.text, "expires_at": int(made.expires_at)}, status=201
        )

    def _listinvoices(self, *, payment_hash: str | None = None, label: str | None = None) -> Answer:
        assert (payment_hash is None) != (label is None), "a busy node's list of all invoices is megabytes"
        found = [
            each for each in self.node.receivables.values() if payment_hash == each.payment_hash or label == each.label
        ]
        return Answer({"invoices": [self._entry(each) for each in found]}, status=201)

    async def _waitanyinvoice(self, *, lastpay_index: int, timeout: int) -> Answer:  # noqa: ASYNC109 - its own name
        with self.node.listen() as news:
            self.waiting.set()
            found = self.node.paid_after(lastpay_index)
            if not found and timeout:
                try:
                    async with asyncio.timeout(timeout):
                        await news.get()
                except TimeoutError:
                    pass
                found = self.node.paid_after(lastpay_index)
        return Answer(self._entry(found[0]), status=201) if found else _error(904, "Timed out")

    async def _xpay(self, *, invstring: str, maxfee: int, retry_for: int) -> Answer:
        assert type(maxfee) is int, "amounts are whole millisatoshi"
        assert retry_for > 0
        if self.fails_with is not None:
            code, status = self.fails_with
            if self.leaves_parts:
                self.node.begin(invstring)
            return _error(code, "xpay says no", status)
        known = next((each for each in self.node.sent.values() if each.text == invstring), None)
        if known is not None and known.state == "paid":
            return _error(219, "Already paid this invoice successfully")
        assert known is None or known.state == "failed", "xpay would pay twice what is under way"
        sent = self.node.begin(invstring)
        if sent.fee > maxfee:
            del self.node.sent[sent.payment_hash]
            return _error(205, "Failed: could not route without excessive cost")
        await sent.ended.wait()
        if sent.state == "failed":
            return _error(203, "Destination said it doesn't know invoice: incorrect_or_unknown_payment_details")
        return Answer(
            {
                "payment_preimage": "00" * 32,
                "failed_parts": 0,
                "successful_parts": 1,
                "amount_msat": self._msat(sent.amount),
                "amount_sent_msat": self._msat(sent.amount + sent.fee),
            },
            status=201,
        )

    def _listpays(
        self,
        *,
        payment_hash: str | None = None,
        index: str | None = None,
        start: int | None = None,
        limit: int | None = None,
    ) -> Answer:
        found = list(self.node.sent.values())
        if payment_hash is not None:
            found = [each for each in found if each.payment_hash == payment_hash]
        else:
            assert index == "created", "start and limit are of an index"
            assert start is not None, "a busy node's list of all payments is megabytes"
            assert limit, "a busy node's list of all payments is megabytes"
            found = [each for each in found if each.index >= start][:limit]
        return Answer({"pays": [self._pay(each) for each in found]}, status=201)

    def _entry(self, invoice: Receivable) -> Mapping[str, Any]:
        entry: dict[str, Any] = {
            "label": invoice.label,
            "bolt11": invoice.text,
            "payment_hash": invoice.payment_hash,
            "amount_msat": self._msat(invoice.amount),
            "status": "unpaid" if invoice.expires_at > time.time() else "expired",
            "description": invoice.memo,
            "expires_at": int(invoice.expires_at),
            "created_index": invoice.index,
        }
        if invoice.received is not None:
            entry |= {
                "status": "paid",
                "pay_index": invoice.paid_index,
                "amount_received_msat": self._msat(invoice.received),
                "paid_at": int(invoice.paid_at),
                "payment_preimage": "00" * 32,
            }
        return entry

    def _pay(self, sent: Sent) -> Mapping[str, Any]:
        entry: dict[str, Any] = {
            "bolt11": sent.text,
            "payment_hash": sent.payment_hash,
            "status": _STATUS[sent.state],
            "created_at": int(sent.at),
            "amount_sent_msat": self._msat(0 if sent.state == "failed" else sent.amount + sent.fee),
            "created_index": sent.index,
        }
        if sent.state != "failed":
            entry["amount_msat"] = self._msat(sent.amount)
        return entry

    def _msat(self, amount: int) -> int | str:
        return f"{amount}{self.suffix}" if self.suffix else amount


def _error(code: int, message: str, status: int = 500) -> Answer:
    return Answer({"code": code, "message": message, "data": None}, status)
