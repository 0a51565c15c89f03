"""Providers through which nothing is paid out for now: after a restore, or because an administrator says so."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Connection, delete, insert, select

from lightphon_core.storage.payment_tables import payout_freezes

RESTORED = "The database was restored from a backup. Payouts that came after it must be reconciled with the wallet."
LOG_IS_AHEAD = (
    "The log of payouts names some that the database does not know as sent: it was restored from an older backup. They "
    "must be reconciled with the wallet."
)
_BY_RESTORE = (RESTORED, LOG_IS_AHEAD)


@frozen
class Freeze:
    """`since` is in microseconds since 1970."""

    provider: str
    since: int
    reason: str

    @property
    def by_restore(self) -> bool:
        """Whether the books may lack payouts."""
        return self.reason in _BY_RESTORE


def freezes(connection: Connection) -> list[Freeze]:
    """All that there are."""
    rows = connection.execute(select(payout_freezes).order_by(payout_freezes.c.provider))
    return [Freeze(row.provider, row.since, row.reason) for row in rows]


def freeze_of(connection: Connection, provider: str) -> Freeze | None:
    """That of a provider; None where it pays."""
    return next((freeze for freeze in freezes(connection) if freeze.provider == provider), None)


def freeze(connection: Connection, provider: str, reason: str, now: int) -> None:
    """Let nothing be paid out through a provider. One that is frozen since a restore stays so, and since then."""
    before = freeze_of(connection, provider)
    if before is None or not before.by_restore:
        lift(connection, provider)
        since = now if before is None else before.since
        connection.execute(insert(payout_freezes).values(provider=provider, since=since, reason=reason))


def lift(connection: Connection, provider: str) -> None:
    """Pay again."""
    connection.execute(delete(payout_freezes).where(payout_freezes.c.provider == provider))
