"""LNbits, over its HTTP API: one of its wallets.

All of this was measured with 1.6.2:

- Amounts are asked for in sats and told in millisatoshi. What leaves is negative, and so may a fee be. What LNbits
  keeps of a payment is a fee too, also of one that arrives.
- The websocket's address has the invoice key in it. Whoever knows that key may also send to it, so what it says is
  looked up. The webhook is JSON in JSON and not signed.
- `/payments/{hash}` asks the node behind LNbits. It marks an invoice that has expired as failed, and nobody in the same
  LNbits can pay it then; of one that somebody pays from the same wallet it shows the payment, not the invoice; and it
  answers without a key. `/payments/paginated` changes nothing and shows both.
- Paying is answered after some seconds, as pending if need be. An error that comes with a `status` is LNbits' own.
- There is no fee limit: LNbits lets its node spend its own reserve, 1 % of the amount or 2 sats.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen
from attrs.validators import ge
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from lightphon_core import (
    DepositState,
    Event,
    Failed,
    Gone,
    Hint,
    Host,
    InvalidRequest,
    NewDeposit,
    NotKnown,
    NotSent,
    Outgoing,
    Payment,
    PaymentState,
    ProviderUnavailable,
    Secret,
    Settled,
    Waiting,
)
from lightphon_payment_lightning.daemon import Daemon, Rejected
from lightphon_payment_lightning.wallets.access import is_one_word, is_url
from lightphon_payment_lightning.wallets.asking import afterwards
from lightphon_payment_lightning.wallets.lnbits_answers import arrived, named, state_of, when
from lightphon_payment_lightning.wallets.reading import Row, integer, objects, row, text
from lightphon_payment_lightning.wallets.wallet import Wallet

PAGE = 500
REREAD_AFTER_S = (0.0, 0.1, 0.3, 1.0)
"""When to look up what the websocket told: LNbits may tell it before it commits it."""

_PAYMENTS = "/api/v1/payments"
_MSAT_PER_SAT = 1_000
_LONGEST_MESSAGE = 1_000_000


@frozen
class LnbitsSettings:
    """LNbits, over its HTTP API: one of its wallets."""

    url: str = field(validator=is_url, metadata={"help": "Its address.", "example": "http://127.0.0.1:5000"})
    invoice_key: Secret = field(validator=is_one_word, metadata={"help": "The wallet's invoice (read) key."})
    admin_key: Secret = field(validator=is_one_word, metadata={"help": "The wallet's admin key, which pays."})
    fee_reserve_sats: int = field(
        default=2,
        validator=ge(0),
        metadata={"help": "Its LNBITS_RESERVE_FEE_MIN, in sats: a payout's fee cap is no less."},
    )
    fee_reserve_bps: int = field(
        default=100, validator=ge(0), metadata={"help": "Its LNBITS_RESERVE_FEE_PERCENT, in basis points: 100 is 1 %."}
    )


class Lnbits(Wallet):
    """One wallet of an LNbits."""

    pushes = True

    def __init__(self, settings: LnbitsSettings, host: Host[Any]) -> None:
        self._settings = settings
        self._clock = host.clock
        self._webhook = None if host.public_url is None else f"{host.public_url}/webhooks/lightning"
        self._reading = Daemon(settings.url, headers={"X-Api-Key": settings.invoice_key.reveal()})
        self._paying = Daemon(settings.url, headers={"X-Api-Key": settings.admin_key.reveal()})

    async def invoice(self, deposit: NewDeposit) -> str:
        if deposit.amount % _MSAT_PER_SAT:
            raise InvalidRequest("This server's Lightning wallet takes whole sats only.", param="amount_sats")
        asked: dict[str, Any] = {
            "out": False,
            "amount": deposit.amount // _MSAT_PER_SAT,
            "unit": "sat",
            "memo": deposit.memo,
            "expiry": deposit.expires_in_s,
            "external_id": deposit.id,
        }
        if self._webhook is not None:
            asked["webhook"] = self._webhook
        return text(row(await self._ask(self._reading, "POST", _PAYMENTS, content=asked)), "bolt11")

    async def received(self, payment_hash: str) -> DepositState:
        incoming = await self._record(payment_hash, outgoing=False)
        if incoming is not None and incoming["status"] == "pending" and not self._has_expired(incoming):
            incoming = await self._asked_anew(payment_hash, outgoing=False) or incoming
        if incoming is None or incoming["status"] == "failed":
            return Gone()
        if incoming["status"] != "success":
            return Waiting()
        return Settled(payment_hash, integer(incoming, "amount") - abs(integer(incoming, "fee")))

    async def settlements(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        del cursor  # LNbits repeats nothing
        key = self._settings.invoice_key.reveal()
        url = f"{self._settings.url.rstrip('/')}/api/v1/ws/{key}".replace("http", "ws", 1)
        try:
            async with connect(url, proxy=None, max_size=_LONGEST_MESSAGE, user_agent_header=None) as socket:
                async for message in socket:
                    if (payment_hash := arrived(message)) and (settled := await self._settled(payment_hash)):
                        yield Event(settled, None)
        except (OSError, TimeoutError, WebSocketException):
            # Neither the error nor where it comes from is kept: both may show the key.
            raise ProviderUnavailable("The websocket of LNbits broke off.") from None

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Settled | Hint]:
        del headers
        if (payment_hash := named(body)) is None:
            raise InvalidRequest("This is no webhook of LNbits.")
        return [Hint(payment_hash)]

    def least_fee_cap(self, amount: int) -> int:
        share = -(-amount * self._settings.fee_reserve_bps // 10_000)
        return max(self._settings.fee_reserve_sats * _MSAT_PER_SAT, share)

    async def pay(self, payment: Payment) -> PaymentState:
        reserve = await self._reserve(payment.invoice)
        if reserve > payment.fee_cap:
            return Failed(
                f"LNbits may spend {reserve} msat on fees, and {payment.fee_cap} are set aside: this server's operator "
                "has to set 'fee_reserve_sats' and 'fee_reserve_bps' as LNbits has them."
            )
        asked = {"out": True, "bolt11": payment.invoice, "external_id": payment.payout}
        try:
            answer = row(await self._paying.ask("POST", _PAYMENTS, content=asked))
        except Rejected as rejected:
            return await self._after_refusal(payment.ref, rejected)
        if text(answer, "payment_hash") != payment.ref or integer(answer, "amount") >= 0:
            # Somebody else's invoice in the same LNbits, which has expired: it is shown instead of being paid.
            return Failed("The invoice can no longer be paid.")
        return state_of(answer)

    async def payment(self, payment_hash: str) -> PaymentState:
        outgoing = await self._record(payment_hash, outgoing=True)
        if outgoing is None:
            return NotKnown()
        if outgoing["status"] == "pending":
            outgoing = await self._asked_anew(payment_hash, outgoing=True) or outgoing
        return state_of(outgoing)

    async def payments(self, since: float) -> Sequence[Outgoing]:
        after = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        sent: dict[str, Outgoing] = {}
        offset = 0
        while True:
            asked: dict[str, str | int] = {
                "time[ge]": after,
                "sortby": "time",
                "direction": "asc",
                "limit": PAGE,
                "offset": offset,
            }
            page = await self._page(asked)
            for each in page:
                if integer(each, "amount") < 0:
                    paid = Outgoing(
                        text(each, "payment_hash"), -integer(each, "amount"), when(each, "time"), state_of(each)
                    )
                    sent[text(each, "checking_id")] = paid
            if len(page) < PAGE:
                return [each for each in sent.values() if each.at >= since]
            offset += PAGE

    async def stop(self) -> None:
        await self._reading.close()
        await self._paying.close()

    async def _after_refusal(self, payment_hash: str, rejected: Rejected) -> PaymentState:
        said = rejected.answer if isinstance(rejected.answer, dict) else {}
        if rejected.status in (401, 403, 404):
            raise NotSent("LNbits refuses the admin key of its settings.") from None
        if "status" not in said:
            raise ProviderUnavailable(rejected.message) from None
        # LNbits stores a payment before it sends it, so what it does not know it has not begun.
        state = await afterwards(self.payment(payment_hash))
        if not isinstance(state, NotKnown):
            return state
        if said.get("detail") == "Insufficient balance.":
            return Failed("The Lightning wallet has not enough money.")
        return Failed("The Lightning wallet refused the payment.")

    async def _reserve(self, invoice: str) -> int:
        try:
            answer = await self._ask(self._paying, "GET", f"{_PAYMENTS}/fee-reserve", params={"invoice": invoice})
            return integer(row(answer), "fee_reserve")
        except ProviderUnavailable as error:
            raise NotSent(error.message) from error  # nothing was asked for yet

    async def _settled(self, payment_hash: str) -> Settled | None:
        for wait_s in REREAD_AFTER_S:
            await asyncio.sleep(wait_s)
            state = await self.received(payment_hash)
            if isinstance(state, Settled):
                return state
        return None

    async def _record(self, payment_hash: str, *, outgoing: bool) -> Row | None:
        """What this wallet has of a payment, without asking the node behind it."""
        for each in await self._page({"payment_hash": payment_hash, "limit": PAGE}):
            if text(each, "payment_hash") == payment_hash and (integer(each, "amount") < 0) is outgoing:
                text(each, "status")
                return each
        return None

    async def _asked_anew(self, payment_hash: str, *, outgoing: bool) -> Row | None:
        """The same after LNbits has asked its node; None where it shows another payment."""
        answer = row(await self._ask(self._reading, "GET", f"{_PAYMENTS}/{payment_hash}"))
        details = answer.get("details")
        if not isinstance(details, dict) or (integer(details, "amount") < 0) is not outgoing:
            return None
        text(details, "status")
        return details

    async def _page(self, asked: Mapping[str, Any]) -> list[Row]:
        return objects(row(await self._ask(self._reading, "GET", f"{_PAYMENTS}/paginated", params=asked)).get("data"))

    async def _ask(self, daemon: Daemon, method: str, path: str, **asked: Any) -> Any:
        try:
            return await daemon.ask(method, path, **asked)
        except Rejected as rejected:
            refused = rejected.status in (401, 403, 404)
            message = "LNbits refuses a key of its settings." if refused else rejected.message
            raise ProviderUnavailable(message) from None

    def _has_expired(self, incoming: Row) -> bool:
        return incoming.get("expiry") is not None and when(incoming, "expiry") <= self._clock.now()
