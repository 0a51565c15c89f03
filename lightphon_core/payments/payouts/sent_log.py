"""The log of what was given to wallets to pay, in a file of its own that no restore of the database undoes: one JSON
object a line, on disk before the wallet is asked. Beside it a restore leaves its mark."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from lightphon_core.payments.payouts.payout import Payout, PayoutState

LOG = "payouts.jsonl"
MARK = "payouts.restored"


@frozen
class Sent:
    """A payout as it was when the wallet was about to be asked. `at` is in microseconds since 1970."""

    payout: str
    account: str
    provider: str
    destination: str
    automatic: bool
    ref: str
    invoice: str
    invoice_expires_at: int
    amount: int
    fee_cap: int
    lightning: int
    earned: int
    created_at: int
    at: int

    @classmethod
    def of(cls, payout: Payout) -> Sent:
        """The line of a payout that has been claimed."""
        invoice = payout.demand
        assert payout.submitted_at is not None, "it has been claimed"
        return cls(
            payout.id,
            payout.account,
            payout.provider,
            payout.destination,
            payout.automatic,
            invoice.ref,
            invoice.text,
            round(invoice.expires_at * 1_000_000),
            payout.amount,
            payout.fee_cap,
            payout.lightning,
            payout.earned,
            payout.created_at,
            payout.submitted_at,
        )

    def as_payout(self, *, lightning: int, earned: int, now: int) -> Payout:
        """The row that the database lacks, with what the wallet still has of it. Nobody knows what came of it."""
        return Payout(
            self.payout,
            self.account,
            self.provider,
            PayoutState.UNKNOWN,
            self.destination,
            self.automatic,
            self.amount,
            self.fee_cap,
            None,
            lightning,
            earned,
            self.ref,
            self.invoice,
            self.invoice_expires_at,
            None,
            self.created_at,
            now,
        )


@frozen
class Own:
    """A payment that is the operator's own: no payout made it."""

    provider: str
    own: str


Line = Sent | Own


class SentLog:
    """The log in a directory. Its methods wait for the disk."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / LOG
        self._lock = threading.Lock()

    def append(self, line: Line) -> None:
        """Write a line, and wait until it is on disk. Raises `OSError`."""
        with self._lock:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # A line that a crash cut off was never acted upon; it must not spoil this one.
                size = os.fstat(descriptor).st_size
                whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
                data = (b"" if whole else b"\n") + json.dumps(asdict(line)).encode() + b"\n"
                if os.write(descriptor, data) != len(data):
                    raise OSError("the disk is full")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                _sync(self.path.parent)

    def read(self) -> list[Line]:
        """Every whole line. Raises `OSError`."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return [line for each in text.split(b"\n") if (line := _line(each)) is not None]


class RestoreMark:
    """Says that the database in this directory was restored, until payouts are frozen for it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / MARK

    @property
    def is_there(self) -> bool:
        return self.path.exists()

    def leave(self) -> None:
        """Before the restore: one that is interrupted may have happened. Raises `OSError`."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
        _sync(self.path.parent)

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _line(text: bytes) -> Line | None:
    try:
        found: dict[str, Any] = json.loads(text)
        return Own(**found) if "own" in found else Sent(**found)
    except (ValueError, TypeError):
        return None  # empty, or cut off by a crash before anybody was asked


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
