"""What providers say, written into the books: event, cursor and entry in one transaction, each payment once, and each
refund or dispute once each way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection, delete, insert, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.collection import settling, window_began
from lightphon_core.ledger.commands import LedgerError, Post, Posting
from lightphon_core.ledger.owners import to_owners
from lightphon_core.ledger.store import Clock, carry_out
from lightphon_core.money import MAX_MSAT
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.deposits.reversals import claw_back, note
from lightphon_core.payments.deposits.store import deposit_by_ref, mark_settled
from lightphon_core.settings import LedgerSettings
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.payment_tables import payment_cursors, payment_events
from lightphon_core.types import Change, Event, Origin, PriceSettled, Reversal, Settled

DEPOSIT = "deposit"
DISPUTE_WINDOW_S = LedgerSettings().card_earnings_delay_s


@frozen
class Recorded:
    """What came of an event. `deposit` is the one that it is about, as it is now; None where it is none of ours. `new`:
    this event credited it, and none before; `stranded`: to nobody, since its account is gone. `taken_back` msat were
    taken back by this event; below 0: returned. `fault` says what is wrong with the event, where something is."""

    deposit: Deposit | None = None
    new: bool = False
    stranded: bool = False
    taken_back: int = 0
    fault: str | None = None


@frozen
class _Desk:
    """Where an event is recorded: for which provider, with which kind of money, and at what time. `since` is that of
    `ledger/collection.py`."""

    connection: Connection
    provider: str
    origin: Origin
    clock: Clock
    now: int
    since: int


def record(
    connection: Connection,
    provider: str,
    origin: Origin,
    event: Event,
    *,
    dispute_window_s: int = DISPUTE_WINDOW_S,
    clock: Clock = database_now,
) -> Recorded:
    """Write down what `provider` said, with the cursor, credit what has arrived, and take back what was taken back; a
    second time nothing changes. For `dispute_window_s` seconds earnings from card money may be taken back too.

    For `Database.write`, whose transactions take turns: whichever way the same news comes, and to whichever server.
    What arrives for a deposit that was settled from inside is credited besides, since it is there besides.
    """
    if event.cursor is not None:
        _keep_cursor(connection, provider, event.cursor)
    if event.change is None:
        return Recorded()
    deposit = deposit_by_ref(connection, provider, event.change.ref)
    if deposit is None:
        return Recorded()
    now = clock(connection)
    desk = _Desk(connection, provider, origin, clock, now, window_began(now, dispute_window_s))
    return _RULES[type(event.change)](desk, deposit, event.change)


def cursor_of(connection: Connection, provider: str) -> str | None:
    """Up to where the events of a provider are recorded; None where none is."""
    cursor: str | None = connection.scalar(
        select(payment_cursors.c.cursor).where(payment_cursors.c.provider == provider)
    )
    return cursor


def _settle(desk: _Desk, deposit: Deposit, settled: Settled) -> Recorded:
    if deposit.price is not None:
        return Recorded(deposit, fault="sats were paid for a deposit that has a price")
    if type(settled.amount) is not int or not 0 < settled.amount <= MAX_MSAT:
        return Recorded(deposit, fault="the amount is none")
    return _credit(desk, deposit, settled.ref, settled.amount)


def _settle_price(desk: _Desk, deposit: Deposit, settled: PriceSettled) -> Recorded:
    if deposit.price is None:
        return Recorded(deposit, fault="a price was paid for a deposit that has none")
    if settled.price != deposit.price:
        return Recorded(deposit, fault="another price was paid, and nothing is credited for it")
    recorded = _credit(desk, deposit, settled.ref, deposit.amount)
    if not recorded.new or recorded.deposit is None:
        return recorded
    # What was taken back before it was heard that it had been paid.
    left = claw_back(desk.connection, recorded.deposit, f"{settled.ref}:completion", since=desk.since, clock=desk.clock)
    return evolve(recorded, deposit=left, taken_back=left.clawed_back)


def _reverse(desk: _Desk, deposit: Deposit, reversal: Reversal) -> Recorded:
    noted = note(desk.connection, desk.provider, deposit, reversal, desk.now)
    if not noted.new or deposit.received is None:
        return Recorded(deposit, fault=noted.fault)
    external_id = f"{reversal.object}:{'returned' if reversal.returned else 'taken'}"
    left = claw_back(desk.connection, deposit, external_id, since=desk.since, clock=desk.clock)
    return Recorded(left, taken_back=left.clawed_back - deposit.clawed_back)


def _credit(desk: _Desk, deposit: Deposit, ref: str, amount: int) -> Recorded:
    """Credit `amount`, once; what the account owes is settled with it. For an account that is gone, who may have paid
    in its last moment, it is kept in `adjustments`."""
    connection, event_id = desk.connection, f"settled:{ref}"
    known = connection.scalar(
        select(payment_events.c.amount).where(
            payment_events.c.provider == desk.provider, payment_events.c.id == event_id
        )
    )
    if known is not None:
        return Recorded(deposit, fault=None if known == amount else "another amount was credited before")
    connection.execute(
        insert(payment_events).values(provider=desk.provider, id=event_id, ref=ref, amount=amount, at=desk.now)
    )
    wallet = chart.wallet(deposit.account, desk.origin)
    (came,) = to_owners(connection, [Posting(chart.clearing(desk.provider), wallet, amount)])
    postings = (came, *settling(connection, deposit.account, (came,), since=desk.since))
    command = Post(DEPOSIT, desk.provider, ref, postings, deposit.id)
    (answer,) = carry_out(connection, [command], clock=desk.clock)
    if isinstance(answer, LedgerError):
        raise answer
    settled = mark_settled(connection, deposit.id, amount, desk.now)
    return Recorded(settled, new=True, stranded=came.credit != wallet)


def _keep_cursor(connection: Connection, provider: str, cursor: str) -> None:
    connection.execute(delete(payment_cursors).where(payment_cursors.c.provider == provider))
    connection.execute(insert(payment_cursors).values(provider=provider, cursor=cursor))


_RULES: dict[type[Change], Callable[[_Desk, Deposit, Any], Recorded]] = {
    Settled: _settle,
    PriceSettled: _settle_price,
    Reversal: _reverse,
}
