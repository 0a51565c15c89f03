"""The rows of payouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import asdict, fields
from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from lightphon_core.errors import NotFound
from lightphon_core.payments.payouts.payout import NOT_SENT, UNDER_WAY, Payout, PayoutState
from lightphon_core.storage.payment_tables import payouts
from lightphon_core.storage.schema import accounts

_COLUMNS = [payouts.c["account_id" if each.name == "account" else each.name] for each in fields(Payout)]
_SPLIT = 10**9
_AT_ONCE = 500


def add_payout(connection: Connection, payout: Payout) -> None:
    """Store a new one."""
    row = asdict(payout, recurse=False)
    connection.execute(
        insert(payouts).values(**{"account_id" if name == "account" else name: value for name, value in row.items()})
    )


def find_payout(connection: Connection, payout_id: str) -> Payout | None:
    """The one of this id, or None."""
    return _one(connection, payouts.c.id == payout_id)


def payout_by_ref(connection: Connection, provider: str, ref: str) -> Payout | None:
    """The one that has paid, or is to pay, what the provider knows under this ref."""
    return _one(connection, and_(payouts.c.provider == provider, payouts.c.ref == ref))


def get_payout(connection: Connection, payout_id: str, *, account: str | None = None) -> Payout:
    """The payout of this id; of this account, if one is given.

    Raises:
        NotFound: there is none.
    """
    found = find_payout(connection, payout_id)
    if found is None or account not in (None, found.account):
        raise NotFound("There is no payout with this id.", param="id")
    return found


def advance(connection: Connection, payout: Payout, states: Sequence[PayoutState], **values: Any) -> bool:
    """Change one that is in one of these states. Whether it was: of several who try, one does it."""
    done = connection.execute(
        update(payouts).where(payouts.c.id == payout.id, payouts.c.state.in_(states)).values(**values)
    )
    return done.rowcount == 1


def payouts_of(
    connection: Connection,
    *,
    account: str | None = None,
    state: PayoutState | None = None,
    limit: int,
    before: str | None = None,
) -> list[Payout]:
    """Those of an account, or of all, the latest first; only those in this state, and asked for before the payout
    `before`, where that is said. Raises `NotFound`: there is none with the id `before`."""
    query = select(*_COLUMNS)
    if account is not None:
        query = query.where(payouts.c.account_id == account)
    if state is not None:
        query = query.where(payouts.c.state == state)
    if before is not None:
        end = get_payout(connection, before, account=account)
        query = query.where(
            or_(
                payouts.c.created_at < end.created_at,
                and_(payouts.c.created_at == end.created_at, payouts.c.id < end.id),
            )
        )
    query = query.order_by(payouts.c.created_at.desc(), payouts.c.id.desc()).limit(limit)
    return [_payout(row) for row in connection.execute(query)]


def to_do(connection: Connection, states: Sequence[PayoutState], limit: int) -> list[Payout]:
    """Those in these states, the oldest first."""
    query = (
        select(*_COLUMNS).where(payouts.c.state.in_(states)).order_by(payouts.c.created_at, payouts.c.id).limit(limit)
    )
    return [_payout(row) for row in connection.execute(query)]


def is_under_way(connection: Connection, account: str) -> bool:
    """Whether a payout of the account has not ended."""
    query = select(payouts.c.id).where(payouts.c.account_id == account, payouts.c.state.in_(UNDER_WAY)).limit(1)
    return connection.execute(query).first() is not None


def count_under_way(connection: Connection) -> dict[PayoutState, int]:
    """How many have not ended, by state; states of which there are none are left out."""
    query = select(payouts.c.state, func.count()).where(payouts.c.state.in_(UNDER_WAY)).group_by(payouts.c.state)
    return {PayoutState(state): number for state, number in connection.execute(query)}


def withdrawn_since(connection: Connection, since: int, account: str | None = None) -> int:
    """The sum of what was asked for after that time, by the account or by all, and has not failed."""
    # Summed up in two parts, since SQLite's sums are of 64 bits.
    query = select(
        func.coalesce(func.sum(payouts.c.amount // _SPLIT), 0), func.coalesce(func.sum(payouts.c.amount % _SPLIT), 0)
    ).where(payouts.c.created_at > since, payouts.c.state != PayoutState.FAILED)
    if account is not None:
        query = query.where(payouts.c.account_id == account)
    high, low = connection.execute(query).one()
    return int(high) * _SPLIT + int(low)


def last_submitted(connection: Connection, provider: str, before: int) -> int | None:
    """When the latest payout was submitted of those that were before that time; None where none was."""
    query = select(func.max(payouts.c.submitted_at)).where(
        payouts.c.provider == provider, payouts.c.submitted_at < before
    )
    found: int | None = connection.scalar(query)
    return found


def known_as_sent(connection: Connection, provider: str, ids: Sequence[str], refs: Sequence[str]) -> set[str]:
    """Which of these ids and refs of a provider's payouts the database knows as submitted, or ended."""
    known: set[str] = set()
    for column, names in ((payouts.c.id, ids), (payouts.c.ref, refs)):
        for start in range(0, len(names), _AT_ONCE):
            query = select(column).where(
                column.in_(names[start : start + _AT_ONCE]),
                payouts.c.provider == provider,
                payouts.c.state.not_in(NOT_SENT),
            )
            known.update(connection.scalars(query))
    return known


def may_withdraw(connection: Connection, account: str) -> bool:
    """Whether there is such an account, and it is not blocked."""
    query = select(accounts.c.id).where(accounts.c.id == account, accounts.c.blocked_at.is_(None))
    return connection.execute(query).first() is not None


def _one(connection: Connection, condition: ColumnElement[bool]) -> Payout | None:
    row = connection.execute(select(*_COLUMNS).where(condition)).first()
    return None if row is None else _payout(row)


def _payout(row: Any) -> Payout:
    values = row._asdict()
    return Payout(account=values.pop("account_id"), state=PayoutState(values.pop("state")), **values)
