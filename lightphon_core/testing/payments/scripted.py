"""A payment provider in memory that does what a test tells it to. It may be told from another thread."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from attrs import define, field

from lightphon_core.errors import InvalidRequest, ProviderUnavailable
from lightphon_core.host import Clock, SystemClock
from lightphon_core.ports import PaymentProvider
from lightphon_core.testing.scripted_line import Line
from lightphon_core.types import (
    Change,
    DepositState,
    Event,
    Fiat,
    Gone,
    Hint,
    NewDeposit,
    Opened,
    Origin,
    PriceSettled,
    Reversal,
    Settled,
    Waiting,
)

SIGNATURE = "x-scripted-signature"


def scripted_invoice(ref: str, amount: int | None, expires_at: float, *, network: str = "scripted") -> str:
    """A demand for money, as the scripted providers write and read it."""
    return f"{network}:{ref}:{'any' if amount is None else amount}:{int(expires_at)}"


@define
class _Deposit:
    asked: NewDeposit
    opened: Opened
    settled: Settled | PriceSettled | None = None
    over: bool = False


@define(eq=False)
class _Reader:
    loop: asyncio.AbstractEventLoop
    news: asyncio.Event = field(factory=asyncio.Event)
    cut: bool = False

    def wake(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.news.set)


class ScriptedPayments(PaymentProvider):
    """Opens deposits of up to `most` msat under random refs of 64 hex digits. `pay` pays one, `expire` ends it, and
    `line` says how calls go. Where it `pushes`, what happens is told at once, unless held back. `told` has all events;
    their cursors count them from 1, and `cursors` has those from which they were read. One with a `currency` opens
    pages, which are paid with a price, and which `reverse` takes back."""

    def __init__(
        self,
        name: str = "scripted",
        *,
        pushes: bool = True,
        origin: Origin = Origin.LIGHTNING,
        play_money: bool = False,
        currency: str | None = None,
        most: int = 10**15,
        test_pay_path: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.pushes = pushes
        self.origin = origin
        self.play_money = play_money
        self.currency = currency
        self.most = most
        self.test_pay_path = test_pay_path
        self.line = Line()
        self.told: list[Event] = []
        self.cursors: list[str | None] = []
        self.secret = secrets.token_bytes(16)
        self._clock = clock or SystemClock()
        self._deposits: dict[str, _Deposit] = {}
        self._held: list[Change] | None = None
        self._readers: list[_Reader] = []

    @property
    def asked(self) -> list[NewDeposit]:
        """Every deposit that was opened, in order."""
        return [deposit.asked for deposit in self._deposits.values()]

    @property
    def refs(self) -> list[str]:
        """Their refs, in the same order."""
        return list(self._deposits)

    async def open(self, deposit: NewDeposit) -> Opened:
        self.line.begin("open")
        if not 0 < deposit.amount <= self.most:
            raise InvalidRequest("The scripted provider takes no such amount.", param="amount_sats")
        if (deposit.price and deposit.price.currency) != self.currency:
            raise InvalidRequest("The scripted provider takes another currency.", param="provider")
        found = [each.opened for each in self._deposits.values() if each.asked.id == deposit.id]
        if not found:
            ref = secrets.token_hex(32)
            expires_at = self._clock.now() + deposit.expires_in_s
            pay = {"invoice": scripted_invoice(ref, deposit.amount, expires_at)}
            if self.currency is not None:
                pay = {"checkout_url": f"https://pay.example.org/{ref}"}
            opened = Opened(ref, expires_at, pay)
            self._deposits[ref] = _Deposit(deposit, opened)
            found = [opened]
        self.line.end("open")
        return found[0]

    async def lookup(self, ref: str) -> DepositState:
        self.line.begin("lookup")
        deposit = self._deposits.get(ref)
        self.line.end("lookup")
        if deposit is None:
            return Gone()
        if deposit.settled is not None:
            return deposit.settled
        return Gone() if deposit.over else Waiting()

    async def events(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        if not self.pushes:
            raise NotImplementedError("This scripted provider pushes nothing.")
        self.line.begin("events")
        self.cursors.append(cursor)
        at = int(cursor or 0)
        reader = _Reader(asyncio.get_running_loop())
        self._readers.append(reader)
        try:
            while not reader.cut:
                reader.news.clear()
                if at < len(self.told):
                    at += 1
                    yield self.told[at - 1]
                else:
                    await reader.news.wait()
        finally:
            self._readers.remove(reader)
        raise ProviderUnavailable("The scripted provider's events broke off.")

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Change | Hint]:
        self.line.begin("webhook")
        try:
            content = json.loads(body)
            said = self._said(content, str(content["ref"]), int(content["amount"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            raise InvalidRequest("This is no webhook of the scripted provider.") from None
        if hmac.compare_digest(headers.get(SIGNATURE, "").encode(), self._signature(body)):
            return [said]
        return [Hint(said.ref)]

    def called_back(
        self,
        ref: str,
        amount: int | None = None,
        *,
        signed: bool = True,
        reversal: str | None = None,
        returned: bool = False,
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook that says that so much has arrived, msat or cents: as much as was asked for,
        unless told. With `reversal`: that this refund or dispute takes it back, or is `returned`."""
        deposit = self._deposits.get(ref)
        said = {"ref": ref, "amount": amount or (_asked(deposit) if deposit else 1)}
        body = json.dumps(said | ({} if reversal is None else {"object": reversal, "returned": returned})).encode()
        return ({SIGNATURE: self._signature(body).decode()} if signed else {}), body

    def pay(self, ref: str, amount: int | None = None) -> Settled | PriceSettled:
        """Pay a deposit, expired or not: with what was asked for, unless told, in msat or cents. Whoever reads events
        hears of it."""
        deposit = self._deposits[ref]
        received = _asked(deposit) if amount is None else amount
        deposit.settled = Settled(ref, received)
        if self.currency is not None:
            deposit.settled = PriceSettled(ref, Fiat(self.currency, received))
        if self.pushes:
            self.tell(deposit.settled)
        return deposit.settled

    def reverse(self, ref: str, name: str, cents: int, *, returned: bool = False) -> Reversal:
        """The refund or dispute `name` takes so much of a deposit back, or has come to nothing. Whoever reads events
        hears of it."""
        assert self.currency is not None, "what has no currency takes nothing back"
        reversal = Reversal(ref, name, Fiat(self.currency, cents), returned)
        if self.pushes:
            self.tell(reversal)
        return reversal

    def expire(self, ref: str) -> None:
        """Nothing will arrive; but `pay` still can."""
        self._deposits[ref].over = True

    def tell(self, change: Change | None) -> None:
        """Put an event at the end of the list: once more, of somebody else's payment, or of nothing (None)."""
        if self._held is not None and change is not None:
            self._held.append(change)
            return
        self.told.append(Event(change, str(len(self.told) + 1)))
        self._wake()

    def hold_events(self) -> None:
        """Tell nothing from now on, until `release_events`."""
        self._held = [] if self._held is None else self._held

    def release_events(self, *, backwards: bool = False) -> None:
        """Tell what was held back, the last one first if told so."""
        held, self._held = self._held or [], None
        for change in reversed(held) if backwards else held:
            self.tell(change)

    def break_off(self) -> None:
        """End what is reading events now, as a connection that is lost does."""
        for reader in list(self._readers):
            reader.cut = True
            reader.wake()

    def _said(self, content: Mapping[str, Any], ref: str, amount: int) -> Change:
        if self.currency is None:
            return Settled(ref, amount)
        if "object" in content:
            return Reversal(ref, content["object"], Fiat(self.currency, amount), content["returned"])
        return PriceSettled(ref, Fiat(self.currency, amount))

    def _wake(self) -> None:
        for reader in list(self._readers):
            reader.wake()

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self.secret, body, hashlib.sha256).hexdigest().encode()


def _asked(deposit: _Deposit) -> int:
    """In msat, or in cents."""
    return deposit.asked.amount if deposit.asked.price is None else deposit.asked.price.cents
