"""The Electrum daemon, over its JSON-RPC.

Electrum is a Lightning wallet of its own: it needs an Electrum server, and no Bitcoin node. Its daemon runs with the
wallet loaded (`electrum daemon -d`, `electrum load_wallet`), and unlocked where it has a password (`electrum unlock`).
All of this was measured with 4.8.3:

- A request and an invoice are known by the payment hash. `request_id` and `invoice_id` are the same 64 hex digits.
- `add_request` takes bitcoins, in decimals, down to the satoshi. `lightning_history` and channels' HTLCs are in
  millisatoshi, `list_channels` in satoshi.
- Nothing is pushed. The daemon answers in some milliseconds, so it is asked often while somebody is waiting.
- `lnpay` answers when the payment has ended; `timeout` does nothing there. Whoever hangs up stops nothing.
- `max_fee_msat` bounds the fee. The daemon refuses 1,000 sats and more, unless that is less than half the amount.
- An expired request is not paid any more: an HTLC that comes late is failed.
- That a payment has failed, and that it is under way, is forgotten when the daemon restarts; only HTLCs tell then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from attrs import field, frozen

from lightphon_core import (
    DepositState,
    Failed,
    Gone,
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
from lightphon_payment_lightning.daemon import Daemon, Rejected
from lightphon_payment_lightning.wallets.access import is_url
from lightphon_payment_lightning.wallets.asking import afterwards
from lightphon_payment_lightning.wallets.reading import Row, integer, objects, row, text
from lightphon_payment_lightning.wallets.wallet import Wallet

PAY_TIMEOUT_S = 10.0
"""How long to wait for a payment to end; afterwards it is looked up."""

_MSAT_PER_BITCOIN = Decimal(100_000_000_000)
_MSAT_PER_SAT = 1_000
_FEE_REFUSED_FROM = 1_000_000
_LONGEST_ANSWER_BYTES = 128_000_000
"""The history of some 300,000 payments: it comes whole."""

_UNPAID, _PAID, _IN_PROGRESS = 0, 3, 4
_SENT = 0
_REFUSED = "The Lightning wallet refused the payment: the invoice has expired, or it cannot pay it."
_NO_WAY = "The Lightning wallet found no way to the payee, or has not enough money in its channels."


@frozen
class ElectrumSettings:
    """The Electrum daemon, over its JSON-RPC."""

    url: str = field(
        validator=is_url, metadata={"help": "Address of its JSON-RPC.", "example": "http://127.0.0.1:7777"}
    )
    user: str = field(metadata={"help": "rpcuser of its configuration."})
    password: Secret = field(metadata={"help": "rpcpassword of its configuration."})


class _Refused(ProviderUnavailable):
    """The daemon carried a request out, and said that it cannot be done. `not_found`: it knows no such thing."""

    def __init__(self, *, not_found: bool) -> None:
        super().__init__("The Lightning wallet cannot do this at the moment.")
        self.not_found = not_found


@frozen
class _Htlc:
    """One step of a payment, into one of the wallet's channels or out of it. `at` is in seconds since 1970."""

    payment_hash: str
    out: bool
    amount: int
    at: int
    under_way: bool


class Electrum(Wallet):
    """The wallet that is loaded in a daemon."""

    def __init__(self, settings: ElectrumSettings, host: Host[Any]) -> None:
        self._daemon = Daemon(
            settings.url, auth=(settings.user, settings.password.reveal()), longest_answer=_LONGEST_ANSWER_BYTES
        )
        self._clock = host.clock

    async def invoice(self, deposit: NewDeposit) -> str:
        if deposit.amount % _MSAT_PER_SAT:
            raise InvalidRequest("This server's Lightning wallet takes whole sats only.", param="amount_sats")
        bitcoins = format(deposit.amount / _MSAT_PER_BITCOIN, "f")
        request = await self._call(
            "add_request", amount=bitcoins, memo=deposit.memo, expiry=deposit.expires_in_s, lightning=True
        )
        return text(row(request), "lightning_invoice")

    async def received(self, payment_hash: str) -> DepositState:
        try:
            request = row(await self._call("get_request", request_id=payment_hash))
        except _Refused as refused:
            if refused.not_found:
                return Gone()
            raise
        if integer(request, "status") != _PAID:
            # Not `Gone`, even if it has expired: an HTLC that came in time may still be settling.
            return Waiting()
        return _received(payment_hash, request, await self._history())

    async def pay(self, payment: Payment) -> PaymentState:
        most = max(payment.amount // 2, _FEE_REFUSED_FROM) - 1
        try:
            await self._call("lnpay", PAY_TIMEOUT_S, invoice=payment.invoice, max_fee_msat=min(payment.fee_cap, most))
        except _Refused:
            # It may have refused since it pays this invoice already, or has paid it. It saves an invoice before it does
            # anything about it, so what it does not know it has not begun.
            state = await afterwards(self.payment(payment.ref))
            return Failed(_REFUSED) if isinstance(state, NotKnown) else state
        return await afterwards(self.payment(payment.ref))

    async def payment(self, payment_hash: str) -> PaymentState:
        try:
            invoice = row(await self._call("get_invoice", invoice_id=payment_hash))
        except _Refused as refused:
            if refused.not_found:
                return NotKnown()
            raise
        # In this order: what neither is in progress now nor has an HTLC under way after that, is decided, and if it was
        # paid the history says so.
        status = integer(invoice, "status")
        htlcs = [] if status in (_PAID, _IN_PROGRESS) else await self._htlcs()
        return _state(payment_hash, status, htlcs, await self._history())

    async def payments(self, since: float) -> Sequence[Outgoing]:
        invoices = {text(each, "invoice_id"): each for each in objects(await self._call("list_invoices"))}
        htlcs = await self._htlcs()
        history = await self._history()
        coming = {each.payment_hash for each in htlcs if not each.out}
        began = {key: self._clock.now() for key, each in invoices.items() if integer(each, "status") == _IN_PROGRESS}
        for each in htlcs:
            passing_through = each.payment_hash in coming and each.payment_hash not in invoices
            if each.out and not passing_through:
                began[each.payment_hash] = min(began.get(each.payment_hash, each.at), each.at)
        return [_outgoing(key, at, invoices.get(key), htlcs, history) for key, at in began.items() if at >= since]

    async def stop(self) -> None:
        await self._daemon.close()

    async def _history(self) -> list[Row]:
        return objects(await self._call("lightning_history"))

    async def _htlcs(self) -> list[_Htlc]:
        """Every HTLC that any channel has ever had."""
        found: list[_Htlc] = []
        for channel in objects(await self._call("list_channels")):
            folders = row(await self._call("list_channel_htlcs", channel_point=text(channel, "channel_point")))
            found += [_htlc(each, state == "inflight") for state, folder in folders.items() for each in objects(folder)]
        return found

    async def _call(self, method: str, timeout_s: float | None = None, **params: Any) -> Any:
        content = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            answer = await self._daemon.ask("POST", "/", content=content, timeout_s=timeout_s)
        except Rejected as rejected:
            if rejected.status in (401, 403):
                raise NotSent("The Lightning wallet refuses the user and password of its settings.") from None
            raise ProviderUnavailable(rejected.message) from None
        if (error := row(answer).get("error")) is not None:
            # Nothing else is made of the message: it may quote anything.
            raise _Refused(not_found=row(error).get("message") == "Request not found")
        return row(answer).get("result")


def _htlc(answer: Row, under_way: bool) -> _Htlc:
    out = text(answer, "direction") == "OUT"
    return _Htlc(text(answer, "payment_hash"), out, integer(answer, "amount"), integer(answer, "timestamp"), under_way)


def _received(payment_hash: str, request: Row, history: Iterable[Row]) -> DepositState:
    """What a paid request has brought: more than was asked for, it may be, but never less. A payment in several parts
    counts when all of them are there, since it can be credited but once."""
    for item in history:
        if item.get("payment_hash") == payment_hash:
            amount = integer(item, "amount_msat")
            return Settled(payment_hash, amount) if amount >= integer(request, "amount_msat") else Waiting()
    return Waiting()


def _state(payment_hash: str, status: int, htlcs: Iterable[_Htlc], history: Iterable[Row]) -> PaymentState:
    for item in history:
        if item.get("payment_hash") == payment_hash and item.get("direction") == _SENT:
            fee = item.get("fee_msat")
            # Parts that are not settled yet make it look negative.
            return Paid(fee) if type(fee) is int and fee >= 0 else InFlight()
    under_way = any(each.under_way and each.payment_hash == payment_hash for each in htlcs)
    return InFlight() if under_way or status in (_PAID, _IN_PROGRESS) else Failed(_NO_WAY)


def _outgoing(
    payment_hash: str, at: float, invoice: Row | None, htlcs: Sequence[_Htlc], history: Iterable[Row]
) -> Outgoing:
    if invoice is not None:
        amount, status = integer(invoice, "amount_msat"), integer(invoice, "status")
    else:  # deleted by hand, or a payment that the wallet makes for itself
        amount, status = sum(each.amount for each in htlcs if each.out and each.payment_hash == payment_hash), _UNPAID
    return Outgoing(payment_hash, amount, at, _state(payment_hash, status, htlcs, history))
