"""How a payout ends, and how it comes to be sent: each step changes the row and the books in one transaction, and
happens once, whoever else tries. For `Database.write`; times are microseconds since 1970."""

from __future__ import annotations

from attrs import evolve, frozen
from sqlalchemy import Connection

from lightphon_core.ledger.collection import owed_by
from lightphon_core.ledger.owners import is_there
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.payments.deposits.store import deposit_by_ref, mark_settled
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.freezes import freeze_of
from lightphon_core.payments.payouts.payout import LONGEST_REASON, SENT, Payout, PayoutState, failed, internal, paid
from lightphon_core.payments.payouts.withdrawal import write_entry
from lightphon_core.types import Failed, Invoice, Paid


@frozen
class Claimed:
    """What came of a claim. `payout` is to be paid now, by whoever claimed it; None where it is not. `deposit` was
    settled by it."""

    payout: Payout | None = None
    deposit: Deposit | None = None


def claim(connection: Connection, payout_id: str, resolved: Invoice | None, now: int) -> Claimed:
    """Make a payout that is held SUBMITTED, with the invoice that its address gave. Whoever is answered with the
    payout pays it, and nobody else ever does.

    What cannot be paid any more fails instead; an invoice of our own is settled without its provider.
    """
    payout = store.find_payout(connection, payout_id)
    if payout is None or payout.state is not PayoutState.HELD or freeze_of(connection, payout.provider) is not None:
        return Claimed()
    if not store.may_withdraw(connection, payout.account):
        return _refused(connection, payout, "The account was blocked.", now)
    if owed_by(connection, payout.account):
        return _refused(connection, payout, "The account owes money.", now)
    if payout.ref is None:
        assert resolved is not None, "what an address is paid with is resolved first"
        if store.payout_by_ref(connection, payout.provider, resolved.ref) is not None:
            return _refused(connection, payout, "The address answered with an invoice that was used before.", now)
        expires_at = round(resolved.expires_at * 1_000_000)
        payout = evolve(payout, ref=resolved.ref, invoice=resolved.text, invoice_expires_at=expires_at)
    invoice = payout.demand
    if invoice.expires_at * 1_000_000 <= now:
        return _refused(connection, payout, "The invoice expired before it was paid.", now)
    deposit = deposit_by_ref(connection, payout.provider, invoice.ref)
    if deposit is not None:
        return _settle(connection, payout, deposit, now)
    payout = evolve(payout, state=PayoutState.SUBMITTED, submitted_at=now)
    return Claimed(payout if _keep(connection, payout) else None)


def end(
    connection: Connection,
    payout: Payout,
    outcome: Paid | Failed,
    now: int,
    *,
    states: tuple[PayoutState, ...] = SENT,
) -> bool:
    """A payout in one of these states has ended so. Whether it has now, and had not before."""
    if isinstance(outcome, Paid):
        if not store.advance(connection, payout, states, state=PayoutState.PAID, fee=outcome.fee, ended_at=now):
            return False
        write_entry(connection, paid(payout, outcome.fee))
        return True
    reason = outcome.reason[:LONGEST_REASON]
    if not store.advance(connection, payout, states, state=PayoutState.FAILED, reason=reason, ended_at=now):
        return False
    write_entry(connection, failed(payout))
    return True


def _refused(connection: Connection, payout: Payout, reason: str, now: int) -> Claimed:
    end(connection, payout, Failed(reason), now, states=(PayoutState.HELD,))
    return Claimed()


def _settle(connection: Connection, payout: Payout, deposit: Deposit, now: int) -> Claimed:
    """A payout that is a deposit here."""
    if not deposit.is_paid_by(payout.demand.text):
        return _refused(connection, payout, "The invoice is a forgery: its payment hash is that of another one.", now)
    if deposit.status is Status.SETTLED:
        return _refused(connection, payout, "The invoice was paid already.", now)
    if deposit.account == payout.account:
        return _refused(connection, payout, "The invoice is a deposit of the same account.", now)
    if not is_there(connection, deposit.account):
        return _refused(connection, payout, "The account that the invoice is a deposit of is gone.", now)
    if not _keep(connection, evolve(payout, state=PayoutState.PAID, fee=0, submitted_at=now, ended_at=now)):
        return Claimed()
    write_entry(connection, internal(payout, deposit.account))
    return Claimed(deposit=mark_settled(connection, deposit.id, payout.amount, now))


def _keep(connection: Connection, payout: Payout) -> bool:
    return store.advance(
        connection,
        payout,
        (PayoutState.HELD,),
        state=payout.state,
        ref=payout.ref,
        invoice=payout.invoice,
        invoice_expires_at=payout.invoice_expires_at,
        fee=payout.fee,
        submitted_at=payout.submitted_at,
        ended_at=payout.ended_at,
    )
