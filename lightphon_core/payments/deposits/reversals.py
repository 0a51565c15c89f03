"""What refunds and disputes take back of a deposit, and return: the same in whichever order, and however often, it is
said.

A refund or dispute takes until it is returned, and never again. What all of them take of the price, they take of what
was credited, rounded down; all of it once they take the whole price, and never more. The difference to what was taken
back before is posted, and settled with the account in the same entry: see `ledger/debts.py`.
"""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Connection, insert, select, update

from lightphon_core.ledger import chart
from lightphon_core.ledger.collection import settling
from lightphon_core.ledger.commands import LedgerError, Post, Posting
from lightphon_core.ledger.store import Clock, carry_out
from lightphon_core.money import MAX_MSAT
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.deposits.store import mark_clawed_back
from lightphon_core.storage.payment_tables import payment_reversals
from lightphon_core.types import Reversal

REVERSAL = "reversal"
REINSTATEMENT = "reinstatement"


@frozen
class Noted:
    """`new`: this was not known before. `fault` says what contradicts what is known."""

    new: bool = False
    fault: str | None = None


def to_take_back(received: int, price: int, taken: int) -> int:
    """How much of `received` msat is to be taken back where `taken` cents of `price` were."""
    return received * min(taken, price) // price


def note(connection: Connection, provider: str, deposit: Deposit, reversal: Reversal, at: int) -> Noted:
    """Keep what a provider says of a refund or dispute of this deposit. `at`: microseconds since 1970."""
    price = deposit.price
    if price is None:
        return Noted(fault="a price is taken back of a deposit that has none")
    cents = reversal.price.cents
    if reversal.price.currency != price.currency or type(cents) is not int or not 0 < cents <= MAX_MSAT:
        return Noted(fault="what is taken back is no money of this deposit's")
    rows = payment_reversals.c
    same = (rows.provider == provider) & (rows.object == reversal.object)
    known = connection.execute(select(rows.ref, rows.price, rows.returned).where(same)).first()
    if known is None:
        connection.execute(
            insert(payment_reversals).values(
                provider=provider,
                object=reversal.object,
                ref=reversal.ref,
                currency=price.currency,
                price=cents,
                returned=reversal.returned,
                at=at,
            )
        )
        return Noted(new=True)
    if (known.ref, known.price) != (reversal.ref, cents):
        return Noted(fault="a refund or dispute was over another amount, or of another payment, before")
    if known.returned or not reversal.returned:
        return Noted()
    connection.execute(update(payment_reversals).where(same).values(returned=True))
    return Noted(new=True)


def claw_back(connection: Connection, deposit: Deposit, external_id: str, *, since: int, clock: Clock) -> Deposit:
    """Take back, or return, what is noted of a deposit that was credited. `external_id` is the entry's, `since` that of
    `ledger/collection.py`. Returns the deposit as it is then."""
    assert deposit.price is not None, "only prices are taken back"
    assert deposit.received is not None, "what was not credited is not taken back"
    target = to_take_back(deposit.received, deposit.price.cents, _taken(connection, deposit))
    change = target - deposit.clawed_back
    if change == 0:
        return deposit
    owed, clearing = chart.receivable(deposit.account), chart.clearing(deposit.provider)
    kind, move = REVERSAL, Posting(owed, clearing, abs(change))
    if change < 0:
        kind, move = REINSTATEMENT, Posting(clearing, owed, abs(change))
    postings = (move, *settling(connection, deposit.account, (move,), since=since))
    command = Post(kind, deposit.provider, external_id, postings, deposit.id)
    (answer,) = carry_out(connection, [command], clock=clock)
    if isinstance(answer, LedgerError):
        raise answer
    if not answer.new:
        raise LedgerError(f"The entry {kind} of {external_id} is there already.")
    return mark_clawed_back(connection, deposit, target)


def _taken(connection: Connection, deposit: Deposit) -> int:
    """What refunds and disputes take of the deposit's price, in cents; more than all of it, where several do."""
    rows = payment_reversals.c
    query = select(rows.price).where(
        rows.provider == deposit.provider, rows.ref == deposit.ref, rows.returned.is_(False)
    )
    return sum(connection.scalars(query))
