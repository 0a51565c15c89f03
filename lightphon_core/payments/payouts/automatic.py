"""Automatic payouts: who is paid by itself, to which address, from which balance on."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Connection, delete, insert, or_, select, update

from lightphon_core.payments.payouts.payout import PayoutState
from lightphon_core.storage.payment_tables import automatic_payouts, payouts

_FIRST_REST_S = 3_600
_LONGEST_REST_S = 86_400
_MOST_FAILURES = 20


@frozen
class Automatic:
    """`threshold` is in msat; `tried_at` is when the last payout was asked for, in microseconds since 1970, and
    `trouble` why it did not work."""

    account: str
    provider: str
    destination: str
    threshold: int
    tried_at: int | None = None
    trouble: str | None = None


def rest_s(failures: int) -> int:
    """How long to rest after so many payouts have failed, one after the other: an hour, then twice as long."""
    return min(_FIRST_REST_S << max(0, failures - 1), _LONGEST_REST_S)


def automatic_of(connection: Connection, account: str) -> Automatic | None:
    """What the account has set up, or None."""
    row = connection.execute(select(automatic_payouts).where(automatic_payouts.c.account_id == account)).first()
    return None if row is None else Automatic(*row)


def all_automatic(connection: Connection) -> list[Automatic]:
    """Everybody's."""
    rows = connection.execute(select(automatic_payouts).order_by(automatic_payouts.c.account_id))
    return [Automatic(*row) for row in rows]


def set_automatic(connection: Connection, automatic: Automatic) -> Automatic:
    """Set it up anew: earlier trouble is forgotten."""
    remove_automatic(connection, automatic.account)
    connection.execute(
        insert(automatic_payouts).values(
            account_id=automatic.account,
            provider=automatic.provider,
            destination=automatic.destination,
            threshold=automatic.threshold,
        )
    )
    return automatic


def remove_automatic(connection: Connection, account: str) -> Automatic | None:
    """Pay the account by itself no longer. What was set up, or None."""
    before = automatic_of(connection, account)
    connection.execute(delete(automatic_payouts).where(automatic_payouts.c.account_id == account))
    return before


def begin_try(connection: Connection, automatic: Automatic, now: int) -> bool:
    """Note that a payout is being asked for. Whether nobody else has meanwhile."""
    unchanged = (
        automatic_payouts.c.tried_at.is_(None)
        if automatic.tried_at is None
        else automatic_payouts.c.tried_at == automatic.tried_at
    )
    done = connection.execute(
        update(automatic_payouts)
        .where(
            automatic_payouts.c.account_id == automatic.account,
            automatic_payouts.c.destination == automatic.destination,
            unchanged,
        )
        .values(tried_at=now, trouble=None)
    )
    return done.rowcount == 1


def note_trouble(connection: Connection, account: str, trouble: str) -> None:
    """Why it did not work, for the account to see."""
    connection.execute(
        update(automatic_payouts).where(automatic_payouts.c.account_id == account).values(trouble=trouble)
    )


def failures_of(connection: Connection, automatic: Automatic) -> list[str]:
    """Why the latest automatic payouts to the destination failed, the latest first, back to one that was paid."""
    query = (
        select(payouts.c.state, payouts.c.reason)
        .where(
            payouts.c.account_id == automatic.account,
            payouts.c.automatic.is_(True),
            payouts.c.destination == automatic.destination,
            or_(payouts.c.state == PayoutState.FAILED, payouts.c.state == PayoutState.PAID),
        )
        .order_by(payouts.c.created_at.desc())
        .limit(_MOST_FAILURES)
    )
    reasons = []
    for row in connection.execute(query):
        if row.state == PayoutState.PAID:
            break
        reasons.append(row.reason)
    return reasons
