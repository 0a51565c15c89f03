"""The rows of deposits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from lightphon_core.errors import NotFound
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.payment_tables import deposits
from lightphon_core.types import Fiat, Opened

_UNPAID = (Status.CREATING, Status.OPEN)
_LAST_QUESTION_US = 15 * 60_000_000
"""How long after its end a deposit that is still open may be about to be found paid: its provider is asked once more
by then, where it answers at all."""


def add_deposit(connection: Connection, deposit: Deposit) -> None:
    """Store one that is being created."""
    connection.execute(
        insert(deposits).values(
            id=deposit.id,
            account_id=deposit.account,
            provider=deposit.provider,
            state=deposit.status.value,
            amount=deposit.amount,
            received=deposit.received,
            ref=deposit.ref,
            pay=json.dumps(dict(deposit.pay)),
            created_at=deposit.created_at,
            expires_at=deposit.expires_at,
            settled_at=deposit.settled_at,
            currency=deposit.price and deposit.price.currency,
            price=deposit.price and deposit.price.cents,
            rate=None if deposit.rate is None else str(deposit.rate),
        )
    )


def unpaid_since(connection: Connection, account: str, now: int) -> list[int]:
    """When those of the account expire that can be paid now, the soonest first."""
    query = (
        select(deposits.c.expires_at)
        .where(deposits.c.account_id == account, deposits.c.state.in_(_UNPAID), deposits.c.expires_at > now)
        .order_by(deposits.c.expires_at)
    )
    return list(connection.scalars(query))


def duties(connection: Connection, account: str) -> list[str]:
    """One sentence where the account has deposits that can still be paid, or were paid in their last moment for all
    that is known: nobody leaves before."""
    open_until = unpaid_since(connection, account, database_now(connection) - _LAST_QUESTION_US)
    return ["A deposit is open. Wait until it has expired, and some minutes more."] if open_until else []


def mark_open(connection: Connection, deposit_id: str, opened: Opened, expires_at: int) -> Deposit:
    """The provider has opened it."""
    connection.execute(
        update(deposits)
        .where(deposits.c.id == deposit_id, deposits.c.state == Status.CREATING)
        .values(state=Status.OPEN.value, ref=opened.ref, pay=json.dumps(dict(opened.pay)), expires_at=expires_at)
    )
    return get_deposit(connection, deposit_id)


def mark_failed(connection: Connection, deposit_id: str) -> None:
    """The provider has not opened it, as far as anybody knows."""
    connection.execute(
        update(deposits)
        .where(deposits.c.id == deposit_id, deposits.c.state == Status.CREATING)
        .values(state=Status.FAILED.value)
    )


def mark_expired(connection: Connection, deposit_id: str) -> Deposit:
    """Its time is over. One that was settled meanwhile stays so."""
    connection.execute(
        update(deposits)
        .where(deposits.c.id == deposit_id, deposits.c.state == Status.OPEN)
        .values(state=Status.EXPIRED.value)
    )
    return get_deposit(connection, deposit_id)


def mark_settled(connection: Connection, deposit_id: str, received: int, now: int) -> Deposit:
    """`received` msat more have come for it."""
    connection.execute(
        update(deposits)
        .where(deposits.c.id == deposit_id)
        .values(
            state=Status.SETTLED.value,
            received=func.coalesce(deposits.c.received, 0) + received,
            settled_at=func.coalesce(deposits.c.settled_at, now),
        )
    )
    return get_deposit(connection, deposit_id)


def mark_clawed_back(connection: Connection, deposit: Deposit, clawed_back: int) -> Deposit:
    """`clawed_back` msat of what came for it are taken back now, all in all."""
    status = Status.REVERSED if clawed_back == deposit.received else Status.SETTLED
    connection.execute(
        update(deposits).where(deposits.c.id == deposit.id).values(state=status.value, clawed_back=clawed_back)
    )
    return get_deposit(connection, deposit.id)


def get_deposit(connection: Connection, deposit_id: str, *, account: str | None = None) -> Deposit:
    """The deposit of this id; of this account, if one is given.

    Raises:
        NotFound: there is none.
    """
    query = select(deposits).where(deposits.c.id == deposit_id)
    if account is not None:
        query = query.where(deposits.c.account_id == account)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("There is no deposit with this id.", param="id")
    return _deposit(row)


def deposit_by_ref(connection: Connection, provider: str, ref: str) -> Deposit | None:
    """The one that the provider knows under this ref."""
    row = connection.execute(select(deposits).where(deposits.c.provider == provider, deposits.c.ref == ref)).first()
    return None if row is None else _deposit(row)


def deposits_of(connection: Connection, account: str, *, limit: int, before: str | None = None) -> list[Deposit]:
    """Those of an account, the latest first; only those opened before the deposit `before`, if there is one."""
    query = select(deposits).where(deposits.c.account_id == account)
    if before is not None:
        end = get_deposit(connection, before, account=account)
        query = query.where(
            or_(
                deposits.c.created_at < end.created_at,
                and_(deposits.c.created_at == end.created_at, deposits.c.id < end.id),
            )
        )
    query = query.order_by(deposits.c.created_at.desc(), deposits.c.id.desc()).limit(limit)
    return [_deposit(row) for row in connection.execute(query)]


def to_look_at(connection: Connection, provider: str, *, since: int, limit: int) -> list[Deposit]:
    """Those of a provider that may still be paid and were opened after `since`: open ones first."""
    query = (
        select(deposits)
        .where(
            deposits.c.state.in_((Status.OPEN, Status.EXPIRED)),
            deposits.c.created_at > since,
            deposits.c.provider == provider,
        )
        .order_by(deposits.c.state.desc(), deposits.c.created_at.desc())
        .limit(limit)
    )
    return [_deposit(row) for row in connection.execute(query)]


def give_up_creating(connection: Connection, provider: str, *, before: int) -> int:
    """Those that were being created before that time, by a server that has died, have failed. Returns how many."""
    done = connection.execute(
        update(deposits)
        .where(
            deposits.c.state == Status.CREATING.value, deposits.c.created_at < before, deposits.c.provider == provider
        )
        .values(state=Status.FAILED.value)
    )
    return int(done.rowcount)


def _deposit(row: Any) -> Deposit:
    return Deposit(
        row.id,
        row.account_id,
        row.provider,
        Status(row.state),
        row.amount,
        row.received,
        row.ref,
        json.loads(row.pay),
        row.created_at,
        row.expires_at,
        row.settled_at,
        None if row.currency is None else Fiat(row.currency, row.price),
        None if row.rate is None else Decimal(row.rate),
        row.clawed_back,
    )
