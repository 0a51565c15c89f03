"""What providers say, written into the books: event, cursor and entry in one transaction, each payment once."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Connection, delete, insert, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.commands import LedgerError, Post, Posting
from lightphon_core.ledger.store import Clock, carry_out
from lightphon_core.money import MAX_MSAT
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.deposits.store import deposit_by_ref, mark_settled
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.payment_tables import payment_cursors, payment_events
from lightphon_core.types import Event, Origin, Settled

DEPOSIT = "deposit"


@frozen
class Recorded:
    """What came of an event. `deposit` is the one that it is about, as it is now; None where it is none of ours. `new`:
    this event credited it, and none before. `fault` says what is wrong with the event, where something is."""

    deposit: Deposit | None = None
    new: bool = False
    fault: str | None = None


def record(
    connection: Connection, provider: str, origin: Origin, event: Event, *, clock: Clock = database_now
) -> Recorded:
    """Write down what `provider` said, with the cursor, and credit what has arrived; a second time nothing changes.

    For `Database.write`, whose transactions take turns: whichever way the same news comes, and to whichever server.
    What arrives for a deposit that was settled from inside is credited besides, since it is there besides.
    """
    if event.cursor is not None:
        _keep_cursor(connection, provider, event.cursor)
    if not isinstance(event.change, Settled):
        return Recorded()
    return _settle(connection, provider, origin, event.change, clock)


def cursor_of(connection: Connection, provider: str) -> str | None:
    """Up to where the events of a provider are recorded; None where none is."""
    cursor: str | None = connection.scalar(
        select(payment_cursors.c.cursor).where(payment_cursors.c.provider == provider)
    )
    return cursor


def _settle(connection: Connection, provider: str, origin: Origin, settled: Settled, clock: Clock) -> Recorded:
    deposit = deposit_by_ref(connection, provider, settled.ref)
    if deposit is None:
        return Recorded()
    if type(settled.amount) is not int or not 0 < settled.amount <= MAX_MSAT:
        return Recorded(deposit, fault="the amount is none")
    event_id = f"settled:{settled.ref}"
    known = connection.scalar(
        select(payment_events.c.amount).where(payment_events.c.provider == provider, payment_events.c.id == event_id)
    )
    if known is not None:
        return Recorded(deposit, fault=None if known == settled.amount else "another amount was credited before")
    now = clock(connection)
    connection.execute(
        insert(payment_events).values(provider=provider, id=event_id, ref=settled.ref, amount=settled.amount, at=now)
    )
    wallet = chart.wallet(deposit.account, origin)
    posting = Posting(chart.clearing(provider), wallet, settled.amount)
    (answer,) = carry_out(connection, [Post(DEPOSIT, provider, settled.ref, (posting,), deposit.id)], clock=clock)
    if isinstance(answer, LedgerError):
        raise answer
    return Recorded(mark_settled(connection, deposit.id, settled.amount, now), new=True)


def _keep_cursor(connection: Connection, provider: str, cursor: str) -> None:
    connection.execute(delete(payment_cursors).where(payment_cursors.c.provider == provider))
    connection.execute(insert(payment_cursors).values(provider=provider, cursor=cursor))
