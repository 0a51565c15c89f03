"""A payment provider in memory that does what a test tells it to. It may be told from another thread."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence

from attrs import define, field

from lightphon_core.errors import InvalidRequest, ProviderUnavailable
from lightphon_core.host import Clock, SystemClock
from lightphon_core.ports import PaymentProvider
from lightphon_core.testing.scripted_line import Line
from lightphon_core.types import DepositState, Event, Gone, Hint, NewDeposit, Opened, Origin, Settled, Waiting

SIGNATURE = "x-scripted-signature"


def scripted_invoice(ref: str, amount: int | None, expires_at: float, *, network: str = "scripted") -> str:
    """A demand for money, as the scripted providers write and read it."""
    return f"{network}:{ref}:{'any' if amount is None else amount}:{int(expires_at)}"


@define
class _Deposit:
    asked: NewDeposit
    opened: Opened
    received: int | None = None
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
    their cursors count them from 1, and `cursors` has those from which they were read."""

    def __init__(
        self,
        name: str = "scripted",
        *,
        pushes: bool = True,
        origin: Origin = Origin.LIGHTNING,
        play_money: bool = False,
        currency: str | None = None,
        most: int = 10**15,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.pushes = pushes
        self.origin = origin
        self.play_money = play_money
        self.currency = currency
        self.most = most
        self.line = Line()
        self.told: list[Event] = []
        self.cursors: list[str | None] = []
        self.secret = secrets.token_bytes(16)
        self._clock = clock or SystemClock()
        self._deposits: dict[str, _Deposit] = {}
        self._held: list[Settled] | None = None
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
        found = [each.opened for each in self._deposits.values() if each.asked.id == deposit.id]
        if not found:
            ref = secrets.token_hex(32)
            expires_at = self._clock.now() + deposit.expires_in_s
            opened = Opened(ref, expires_at, {"invoice": scripted_invoice(ref, deposit.amount, expires_at)})
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
        if deposit.received is not None:
            return Settled(ref, deposit.received)
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

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Settled | Hint]:
        self.line.begin("webhook")
        try:
            content = json.loads(body)
            said = Settled(str(content["ref"]), int(content["amount"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            raise InvalidRequest("This is no webhook of the scripted provider.") from None
        if hmac.compare_digest(headers.get(SIGNATURE, "").encode(), self._signature(body)):
            return [said]
        return [Hint(said.ref)]

    def called_back(self, ref: str, amount: int | None = None, *, signed: bool = True) -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook that says that so much has arrived: as much as was asked for, unless told."""
        deposit = self._deposits.get(ref)
        body = json.dumps({"ref": ref, "amount": amount or (deposit.asked.amount if deposit else 1)}).encode()
        return ({SIGNATURE: self._signature(body).decode()} if signed else {}), body

    def pay(self, ref: str, amount: int | None = None) -> Settled:
        """Pay a deposit, expired or not: with what was asked for, unless told. Whoever reads events hears of it."""
        deposit = self._deposits[ref]
        deposit.received = deposit.asked.amount if amount is None else amount
        settled = Settled(ref, deposit.received)
        if self.pushes:
            self.tell(settled)
        return settled

    def expire(self, ref: str) -> None:
        """Nothing will arrive; but `pay` still can."""
        self._deposits[ref].over = True

    def tell(self, change: Settled | None) -> None:
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

    def _wake(self) -> None:
        for reader in list(self._readers):
            reader.wake()

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self.secret, body, hashlib.sha256).hexdigest().encode()
