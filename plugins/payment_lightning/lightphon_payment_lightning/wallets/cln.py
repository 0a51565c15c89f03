"""Core Lightning, over its plugin clnrest.

Read in its own schemas, clnrest and xpay (August 2026): every method is a POST with its parameters as a JSON object,
amounts are whole millisatoshi (in old releases text that ends with "msat"), and an error of a method is HTTP 500 with
{"code", "message"}.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
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
    NotSent,
    Outgoing,
    Paid,
    Payment,
    PaymentState,
    Secret,
    Settled,
    Waiting,
)
from lightphon_payment_lightning.daemon import TIMEOUT_S, Daemon, Rejected
from lightphon_payment_lightning.wallets.access import is_one_word, is_url
from lightphon_payment_lightning.wallets.asking import PATIENCE_S, afterwards, patiently
from lightphon_payment_lightning.wallets.reading import hexadecimal, items, number, text, unexpected
from lightphon_payment_lightning.wallets.wallet import Wallet

SEARCH_S = 60
"""How long xpay begins new attempts."""
SLACK_S = 60
"""How long an attempt that begins at the very end may take to be there, and how far two clocks may differ."""
POLL_S = 50
"""How long one question for new payments waits there: less than what proxies bear."""
PAGE = 100
_LABEL_TAKEN, _NOTHING_PAID = 900, 904
_CURSOR = "cln:"
_REASONS = {
    203: "The recipient does not take this payment.",
    205: "There is no route to the recipient.",
    206: "There is no route to the recipient within the fee cap.",
    207: "The invoice has expired.",
    209: "The payment failed: no attempt came through in time.",
    210: "The payment failed: no attempt came through in time.",
}
"""Codes with which xpay says that it has given up. What is still on its way is shown by listpays all the same."""
_NEVER_ASKED = (401, 403, 404)
"""HTTP statuses of clnrest itself, before any method runs: the rune does not allow it, or there is no such method."""


@frozen
class ClnSettings:
    """Core Lightning, over its plugin clnrest."""

    url: str = field(validator=is_url, metadata={"help": "Address of clnrest.", "example": "https://127.0.0.1:3010"})
    rune: Secret = field(
        validator=is_one_word,
        metadata={"help": "A rune that allows invoice, listinvoices, waitanyinvoice, xpay and listpays."},
    )
    certificate: Path | None = field(
        default=None, metadata={"help": "Its ca.pem, where no public authority has signed its certificate."}
    )


class Cln(Wallet):
    """A wallet that is a Core Lightning, 24.11 or later. Its cursor is the `pay_index` of an invoice."""

    pushes = True
    patience_s = PATIENCE_S
    poll_s = POLL_S

    def __init__(self, settings: ClnSettings, host: Host[Any]) -> None:
        self._clock = host.clock
        self._asked: dict[str, float] = {}
        self._daemon = Daemon(settings.url, headers={"Rune": settings.rune.reveal()}, ca=settings.certificate)

    async def stop(self) -> None:
        await self._daemon.close()

    async def invoice(self, deposit: NewDeposit) -> str:
        content = {
            "amount_msat": deposit.amount,
            "label": deposit.id,
            "description": deposit.memo,
            "expiry": deposit.expires_in_s,
        }
        try:
            return text(await self._call("invoice", content), "bolt11")
        except Rejected as error:
            if _code(error.answer) != _LABEL_TAKEN:
                raise unexpected() from error
        made = items(await self._ask("listinvoices", {"label": deposit.id}), "invoices")
        if not made:
            raise unexpected()
        return text(made[0], "bolt11")

    async def received(self, payment_hash: str) -> DepositState:
        found = items(await self._ask("listinvoices", {"payment_hash": payment_hash}), "invoices")
        if not found:
            return Gone()
        match text(found[0], "status"):
            case "paid":
                return Settled(payment_hash, number(found[0], "amount_received_msat"))
            case "expired":
                return Gone()
            case _:
                return Waiting()

    async def settlements(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        last = int(cursor.removeprefix(_CURSOR)) if cursor is not None and cursor.startswith(_CURSOR) else None
        # An index that is not reached is another node's: this one would stay silent until it has.
        if last is None or (last > 0 and await self._paid_after(last - 1, wait_s=0) is None):
            last = await self._latest()
            yield Event(None, f"{_CURSOR}{last}")
        while True:
            invoice = await self._paid_after(last, wait_s=self.poll_s)
            if invoice is not None:
                last = number(invoice, "pay_index")
                change = Settled(hexadecimal(invoice, "payment_hash"), number(invoice, "amount_received_msat"))
                yield Event(change, f"{_CURSOR}{last}")

    async def pay(self, payment: Payment) -> PaymentState:
        # xpay itself refuses what was paid before, and not what is under way.
        entries = await self._pays(payment.ref)
        state = self._state(entries)
        now = self._clock.now()
        self._asked = {ref: at for ref, at in self._asked.items() if now < at + SEARCH_S + SLACK_S}
        if payment.ref in self._asked and not entries:
            return InFlight()
        if isinstance(state, Paid | InFlight):
            return state
        self._asked[payment.ref] = now
        try:
            return await patiently(self, payment.ref, self._send(payment), self.patience_s)
        except NotSent:
            del self._asked[payment.ref]
            raise

    async def payment(self, payment_hash: str) -> PaymentState:
        return self._state(await self._pays(payment_hash))

    async def payments(self, since: float) -> Sequence[Outgoing]:
        # listpays cannot ask by time, but pages by index, and indices are given in the order of time. A payment of
        # many parts may be cut by a page's end, so each that is found is asked for by itself.
        hashes: dict[str, None] = {}
        start = await self._first_pay_since(since)
        while page := await self._pays_from(start, PAGE):
            hashes |= dict.fromkeys(hexadecimal(each, "payment_hash") for each in page)
            start += PAGE
        found = []
        for payment_hash in hashes:
            entries = await self._pays(payment_hash)
            if entries:
                amount = max(number(each, "amount_msat") if "amount_msat" in each else 0 for each in entries)
                at = max(number(each, "created_at") for each in entries)
                found.append(Outgoing(payment_hash, amount, at, self._state(entries)))
        return found

    async def _send(self, payment: Payment) -> PaymentState:
        content = {"invstring": payment.invoice, "maxfee": payment.fee_cap, "retry_for": SEARCH_S}
        try:
            answer = await self._call("xpay", content, timeout_s=self.patience_s + TIMEOUT_S)
        except Rejected as error:
            if error.status in _NEVER_ASKED and _code(error.answer) is not None:
                raise NotSent(
                    "The Lightning wallet does not let LightPhon pay: its operator has to allow it."
                ) from error
            return await self._given_up(payment, error)
        return Paid(max(number(answer, "amount_sent_msat") - payment.amount, 0))

    async def _given_up(self, payment: Payment, error: Rejected) -> PaymentState:
        """How a payment stands after xpay has answered with an error: parts of it may still be under way, or it has
        been paid before."""
        entries = await afterwards(self._pays(payment.ref))
        states = {text(each, "status") for each in entries}
        if "complete" in states:
            return self._state(entries)
        reason = _REASONS.get(_code(error.answer) or 0)
        if reason is None:
            raise unexpected() from error
        return InFlight() if "pending" in states else Failed(reason)

    def _state(self, entries: Sequence[Mapping[str, Any]]) -> PaymentState:
        """What listpays says of one payment hash: an entry for each time that somebody asked to pay it."""
        for each in entries:
            if text(each, "status") == "complete":
                return Paid(max(number(each, "amount_sent_msat") - number(each, "amount_msat"), 0))
        if not entries:
            return NotKnown()
        # Between two attempts of one xpay older releases say "failed", though another may be about to begin.
        begun = max(number(each, "created_at") for each in entries)
        if any(text(each, "status") != "failed" for each in entries) or (
            self._clock.now() < begun + SEARCH_S + SLACK_S
        ):
            return InFlight()
        return Failed("The payment failed.")

    async def _pays(self, payment_hash: str) -> Sequence[Mapping[str, Any]]:
        return items(await self._ask("listpays", {"payment_hash": payment_hash}), "pays")

    async def _pays_from(self, start: int, limit: int) -> Sequence[Mapping[str, Any]]:
        return items(await self._ask("listpays", {"index": "created", "start": start, "limit": limit}), "pays")

    async def _first_pay_since(self, since: float) -> int:
        """The least index from which on every payment was begun at `since` or later."""

        async def is_before(index: int) -> bool:
            page = await self._pays_from(index, 1)
            return bool(page) and number(page[0], "created_at") < since

        low, high = 1, 1
        while await is_before(high):
            low, high = high + 1, high * 2
        while low < high:
            middle = (low + high) // 2
            if await is_before(middle):
                low = middle + 1
            else:
                high = middle
        return low

    async def _latest(self) -> int:
        """The highest `pay_index` so far. Found by halves: a list of all invoices may be of any length."""
        last, step = 0, 1
        while (found := await self._paid_after(last + step - 1, wait_s=0)) is not None:
            last, step = number(found, "pay_index"), step * 2
        beyond = last + step - 1
        while last < beyond:
            middle = (last + beyond) // 2
            found = await self._paid_after(middle, wait_s=0)
            if found is None:
                beyond = middle
            else:
                last = number(found, "pay_index")
        return last

    async def _paid_after(self, index: int, *, wait_s: int) -> Mapping[str, Any] | None:
        """The first invoice paid after `index`; None where there is none within `wait_s`."""
        try:
            found = await self._call(
                "waitanyinvoice", {"lastpay_index": index, "timeout": wait_s}, timeout_s=wait_s + TIMEOUT_S
            )
        except Rejected as error:
            if _code(error.answer) == _NOTHING_PAID:
                return None
            raise unexpected() from error
        if not isinstance(found, dict):
            raise unexpected()
        return found

    async def _ask(self, method: str, content: Mapping[str, Any]) -> Any:
        try:
            return await self._call(method, content)
        except Rejected as error:
            raise unexpected() from error

    async def _call(self, method: str, content: Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        return await self._daemon.ask("POST", f"/v1/{method}", content=content, timeout_s=timeout_s)


def _code(answer: Any) -> int | None:
    """The code of an error of Core Lightning's own; None where it is something else's, such as a proxy's."""
    code = answer.get("code") if isinstance(answer, dict) else None
    return code if isinstance(code, int) else None
