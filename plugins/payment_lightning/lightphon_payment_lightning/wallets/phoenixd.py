"""phoenixd, over its HTTP API.

Read in its own source (0.8.0): forms in, JSON out, amounts are whole sats, only fees are millisatoshi. A payment
that failed is HTTP 200 with a `reason`; the fee is phoenixd's own, 0.4 % and 4 sat, and cannot be limited. An automatic
channel or splice is paid for out of what comes in: a deposit is credited with what is left of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from lightphon_core import (
    DepositState,
    Event,
    Failed,
    Gone,
    Hint,
    Host,
    InFlight,
    InvalidRequest,
    NewDeposit,
    NotKnown,
    NotSent,
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
from lightphon_payment_lightning.wallets.reading import hexadecimal, number, objects, text, unexpected
from lightphon_payment_lightning.wallets.wallet import Wallet

MSAT = 1_000
FEE_BASE_MSAT = 4_000
FEE_PER_MILLE = 4
MAX_DESCRIPTION = 128
"""Characters that it takes."""
OVERLAP_MS = 600_000
"""How far before the cursor is asked again: an event's time is not that of the payment, and clocks differ."""
PAGE = 100
_CURSOR = "phoenixd:"
_UNKNOWN_ENDPOINT = "Unknown endpoint"


@frozen
class PhoenixdSettings:
    """phoenixd, over its HTTP API."""

    url: str = field(validator=is_url, metadata={"help": "Its address.", "example": "http://127.0.0.1:9740"})
    password: Secret = field(validator=is_one_word, metadata={"help": "http-password of its phoenix.conf."})
    webhook_secret: Secret | None = field(
        default=None,
        validator=is_one_word,
        metadata={"help": "webhook-secret of its phoenix.conf. Left out: what webhooks say is asked for again."},
    )


class Phoenixd(Wallet):
    """A wallet that is a phoenixd. Its cursor is a time, in milliseconds: it numbers nothing."""

    pushes = True
    patience_s = PATIENCE_S

    def __init__(self, settings: PhoenixdSettings, host: Host[Any]) -> None:
        self._clock = host.clock
        self._webhook_url = None if host.public_url is None else f"{host.public_url}/webhooks/lightning"
        self._webhook_secret = settings.webhook_secret
        self._socket_url = f"ws{settings.url[len('http') :].rstrip('/')}/websocket"
        user = f":{settings.password.reveal()}"
        self._authorization = f"Basic {b64encode(user.encode()).decode()}"
        self._daemon = Daemon(settings.url, auth=("", settings.password.reveal()))

    async def stop(self) -> None:
        await self._daemon.close()

    async def invoice(self, deposit: NewDeposit) -> str:
        if deposit.amount % MSAT:
            raise InvalidRequest("This wallet takes whole sats only.", param="amount_sats")
        form = {
            "amountSat": str(deposit.amount // MSAT),
            "description": deposit.memo[:MAX_DESCRIPTION],
            "externalId": deposit.id,
            "expirySeconds": str(deposit.expires_in_s),
        }
        if self._webhook_url is not None:
            form["webhookUrl"] = self._webhook_url
        try:
            return text(await self._daemon.ask("POST", "/createinvoice", form=form), "serialized")
        except Rejected as error:
            raise unexpected() from error

    async def received(self, payment_hash: str) -> DepositState:
        found = await self._find(f"/payments/incoming/{payment_hash}")
        if found is None:
            return Gone()
        if found.get("isPaid") is True:
            # What phoenixd has kept for a channel is taken off already. It may be all.
            amount = number(found, "receivedSat") * MSAT
            return Settled(payment_hash, amount) if amount else Gone()
        return Gone() if found.get("isExpired") is True else Waiting()

    async def settlements(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        if cursor is not None and cursor.startswith(_CURSOR):
            since = int(cursor.removeprefix(_CURSOR))
        else:
            since = int(self._clock.now() * 1_000)
            yield Event(None, f"{_CURSOR}{since}")
        headers = {"Authorization": self._authorization}
        try:
            async with connect(self._socket_url, additional_headers=headers, proxy=None, close_timeout=1) as socket:
                # First the socket, then what came before it: so nothing falls between the two.
                for payment in await self._received_since(since - OVERLAP_MS):
                    since = max(since, number(payment, "completedAt"))
                    amount = number(payment, "receivedSat") * MSAT
                    change = Settled(hexadecimal(payment, "paymentHash"), amount)
                    yield Event(change if amount else None, f"{_CURSOR}{since}")
                async for message in socket:
                    said = _parsed(message)
                    if "timestamp" in said:
                        since = max(since, number(said, "timestamp"))
                    yield Event(_received(said), f"{_CURSOR}{since}")
        except (OSError, TimeoutError, WebSocketException) as error:
            raise ProviderUnavailable("The Lightning wallet does not answer at the moment.") from error

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Settled | Hint]:
        try:
            change = _received(_parsed(body))
        except ProviderUnavailable:
            raise InvalidRequest("This is no webhook of phoenixd's.") from None
        if self._webhook_secret is None:
            return [] if change is None else [Hint(change.ref)]
        expected = hmac.new(self._webhook_secret.reveal().encode(), body, hashlib.sha256).hexdigest()
        given = headers.get("x-phoenix-signature", "")
        if not hmac.compare_digest(expected.encode(), given.lower().encode()):
            raise InvalidRequest("The signature of this webhook is wrong.")
        return [] if change is None else [change]

    def least_fee_cap(self, amount: int) -> int:
        return FEE_BASE_MSAT - (-amount * FEE_PER_MILLE // 1_000)

    async def pay(self, payment: Payment) -> PaymentState:
        if payment.fee_cap < self.least_fee_cap(payment.amount):
            return Failed("The fee of this wallet, 0.4 % and 4 sat, is above the fee cap of the payment.")
        return await patiently(self, payment.ref, self._send(payment), self.patience_s)

    async def payment(self, payment_hash: str) -> PaymentState:
        found = await self._find(f"/payments/outgoingbyhash/{payment_hash}")
        return NotKnown() if found is None else _state(found)

    async def payments(self, since: float) -> Sequence[Outgoing]:
        return [
            Outgoing(hexadecimal(each, "paymentHash"), _sent(each), number(each, "createdAt") / 1_000, _state(each))
            for each in await self._listed("/payments/outgoing", int(since * 1_000), {"all": "true"})
            if each.get("subType") == "lightning"
        ]

    async def _send(self, payment: Payment) -> PaymentState:
        try:
            answer = await self._daemon.ask(
                "POST", "/payinvoice", form={"invoice": payment.invoice}, timeout_s=self.patience_s + TIMEOUT_S
            )
        except Rejected as error:
            if error.status == 401:
                raise NotSent(
                    "The Lightning wallet does not let LightPhon pay: its operator has to allow it."
                ) from error
            if error.status == 400:
                return await self._given_up(payment)
            raise unexpected() from error
        if isinstance(answer, dict) and "reason" not in answer:
            return await self._paid(payment, number(answer, "routingFeeSat") * MSAT)
        return await self._given_up(payment)

    async def _given_up(self, payment: Payment) -> PaymentState:
        """How a payment stands that phoenixd has answered not to make: it may be under way, or paid, from before."""
        state = await afterwards(self.payment(payment.ref))
        return Failed("The payment failed.") if isinstance(state, NotKnown) else state

    async def _paid(self, payment: Payment, fee: int) -> PaymentState:
        """The fee to the millisatoshi. The answer to a payment has it in sats."""
        try:
            state = await self.payment(payment.ref)
        except ProviderUnavailable:
            raise ProviderUnavailable("The Lightning wallet has paid, and does not say the fee.") from None
        return state if isinstance(state, Paid) else Paid(fee)

    async def _received_since(self, since: int) -> Sequence[Mapping[str, Any]]:
        # The latest comes first; a page that is asked for while another payment comes in may repeat some.
        return list(reversed(await self._listed("/payments/incoming", since, {})))

    async def _listed(self, path: str, since: int, more: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """All that its list has from `since` on, in milliseconds."""
        found: list[Mapping[str, Any]] = []
        while True:
            params: dict[str, str | int] = {"from": max(since, 0), "limit": PAGE, "offset": len(found), **more}
            try:
                page = objects(await self._daemon.ask("GET", path, params=params))
            except Rejected as error:
                raise unexpected() from error
            found += page
            if len(page) < PAGE:
                return found

    async def _find(self, path: str) -> Mapping[str, Any] | None:
        """What is there, None where phoenixd says that it has none: with the status that unknown paths have too."""
        try:
            found = await self._daemon.ask("GET", path)
        except Rejected as error:
            if error.status == 404 and isinstance(error.answer, str) and error.answer.strip() == "Not found":
                return None
            raise unexpected() from error
        if not isinstance(found, dict):
            raise unexpected()
        return found


def _state(payment: Mapping[str, Any]) -> PaymentState:
    if payment.get("isPaid") is True:
        return Paid(number(payment, "fees"))
    return InFlight() if payment.get("completedAt") is None else Failed("The payment failed.")


def _sent(payment: Mapping[str, Any]) -> int:
    """The amount without the fee. `sent` is both, rounded down to sats, so this is right for whole sats."""
    return (number(payment, "sent") - number(payment, "fees") // MSAT) * MSAT


def _received(message: Mapping[str, Any]) -> Settled | None:
    """What a message of phoenixd's says that has arrived, whatever it is about."""
    if text(message, "type") != "payment_received":
        return None
    ref, amount = hexadecimal(message, "paymentHash"), number(message, "amountSat") * MSAT
    return Settled(ref, amount) if amount else None


def _parsed(message: str | bytes) -> Mapping[str, Any]:
    try:
        (said,) = objects([json.loads(message)])
    except (ValueError, RecursionError):
        raise unexpected() from None
    return said
