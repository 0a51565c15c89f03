"""A Lightning node in memory, for servers that speak as a daemon does: what it is to receive, and what it has paid."""

from __future__ import annotations

import asyncio
import secrets
import time
from hashlib import sha256

from attrs import define, field

from lightphon_payment_lightning.invoices import decode, sign
from lightphon_payment_lightning.network import Network

EXPIRY_S = 3_600
_KEY = "11" * 32


@define
class Receivable:
    """An invoice of the node's. `received` is None until it is paid; `paid_index` counts those that are."""

    index: int
    payment_hash: str
    text: str
    amount: int
    label: str
    memo: str
    created_at: float
    expires_at: float
    received: int | None = None
    paid_index: int = 0
    paid_at: float = 0


@define
class Sent:
    """A payment of the node's: "pending", "paid" or "failed"."""

    index: int
    payment_hash: str
    text: str
    amount: int
    fee: int
    at: float
    state: str = "pending"
    ended: asyncio.Event = field(factory=asyncio.Event)


class Node:
    """`holds`: payments stay in flight until `end`. `fails`: they fail. `fee`: what they cost, in msat."""

    def __init__(self) -> None:
        self.receivables: dict[str, Receivable] = {}
        self.sent: dict[str, Sent] = {}
        self.holds = False
        self.fails = False
        self.fee = 1_000
        self._paid = 0
        self._readers: set[asyncio.Queue[Receivable]] = set()

    def receivable(self, amount: int, *, label: str = "", memo: str = "", expires_in_s: int = EXPIRY_S) -> Receivable:
        now = time.time()
        payment_hash, text = invoice_over(amount, memo=memo, expires_in_s=expires_in_s)
        made = Receivable(
            len(self.receivables) + 1, payment_hash, text, amount, label, memo, now, int(now) + expires_in_s
        )
        self.receivables[payment_hash] = made
        return made

    def receive(self, payment_hash: str, amount: int | None = None) -> Receivable:
        """Somebody pays it: all of it, or another amount."""
        paid = self.receivables[payment_hash]
        assert paid.received is None, "an invoice is paid once"
        self._paid += 1
        paid.received = paid.amount if amount is None else amount
        paid.paid_index = self._paid
        paid.paid_at = time.time()
        self.tell(paid)
        return paid

    def tell(self, paid: Receivable) -> None:
        """Tell those who listen."""
        for reader in self._readers:
            reader.put_nowait(paid)

    def paid_after(self, index: int) -> list[Receivable]:
        """What was paid, in the order of it."""
        found = [each for each in self.receivables.values() if each.paid_index > index]
        return sorted(found, key=lambda each: each.paid_index)

    def listen(self) -> Listening:
        return Listening(self._readers)

    def expire(self, payment_hash: str) -> None:
        self.receivables[payment_hash].expires_at = 0

    def begin(self, text: str) -> Sent:
        """Pay an invoice; whether it may be paid is for the daemon to say."""
        invoice = decode(text).invoice
        assert invoice.amount is not None, "the tests pay invoices with amounts"
        sent = Sent(len(self.sent) + 1, invoice.ref, text, invoice.amount, self.fee, time.time())
        self.sent[invoice.ref] = sent
        if not self.holds:
            self.end(invoice.ref, "failed" if self.fails else "paid")
        return sent

    def end(self, payment_hash: str, state: str) -> None:
        sent = self.sent[payment_hash]
        sent.state = state
        sent.ended.set()


class Listening:
    """`with`: a queue of what is paid meanwhile."""

    def __init__(self, readers: set[asyncio.Queue[Receivable]]) -> None:
        self._readers = readers
        self._queue: asyncio.Queue[Receivable] = asyncio.Queue()

    def __enter__(self) -> asyncio.Queue[Receivable]:
        self._readers.add(self._queue)
        return self._queue

    def __exit__(self, *_: object) -> None:
        self._readers.discard(self._queue)


def invoice_over(amount: int, *, memo: str = "", expires_in_s: int = EXPIRY_S) -> tuple[str, str]:
    """Payment hash and text of a new regtest invoice, whose preimage nobody keeps."""
    payment_hash = sha256(secrets.token_bytes(32)).hexdigest()
    text = sign(
        Network.REGTEST,
        amount=amount,
        payment_hash=payment_hash,
        payment_secret=secrets.token_hex(32),
        memo=memo,
        created_at=int(time.time()),
        expires_in_s=expires_in_s,
        private_key=_KEY,
    )
    return payment_hash, text
