"""Accounts: whom requests act for."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from lightphon_core.accounts.secrets import random_text
from lightphon_core.errors import InvalidRequest
from lightphon_core.storage.payment_tables import automatic_payouts
from lightphon_core.storage.schema import accounts, credentials, microseconds, sessions

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


@frozen
class Account:
    """Times are in microseconds since 1970, UTC. Who is blocked can neither log in nor use a credential."""

    id: str
    name: str
    created_at: int
    admin_since: int | None = None
    blocked_at: int | None = None


def create_account(
    connection: Connection, name: str, *, now: float, password_hash: str | None = None, admin: bool = False
) -> Account:
    """A new account. `now` is in seconds since 1970, UTC. Without a password nobody can log in to it.

    Letters of its name are small, whoever makes it: nobody is to pass for another by a capital.

    Raises:
        InvalidRequest: the name is taken, or is not 1 to 64 letters, digits and . _ @ + - with a letter or digit first.
    """
    require_account_name(name)
    name = name.lower()
    # Of the time when operators could give names with capitals.
    taken = select(accounts.c.id).where(func.lower(accounts.c.name) == name).limit(1)
    if connection.execute(taken).first() is not None:
        raise InvalidRequest(f"There is an account named {name} already.", param="name", code="account_exists")
    at = microseconds(now)
    account = Account(f"acc_{random_text(16)}", name, at, admin_since=at if admin else None)
    connection.execute(
        insert(accounts).values(
            id=account.id,
            name=account.name,
            created_at=account.created_at,
            password_hash=password_hash,
            admin_since=account.admin_since,
        )
    )
    return account


def is_account_name(name: str) -> bool:
    """Whether an account can have this name."""
    return _NAME.fullmatch(name) is not None


def require_account_name(name: str) -> None:
    """Raise `InvalidRequest` unless an account can have this name."""
    if not is_account_name(name):
        raise InvalidRequest(
            "An account name has 1 to 64 letters, digits and . _ @ + -, and begins with a letter or digit.",
            param="name",
        )


def set_blocked(connection: Connection, account: Account, blocked_at: int | None) -> Account:
    """The account, blocked since then, or with None no longer so. Its keys and sessions stay as they are meanwhile."""
    connection.execute(update(accounts).where(accounts.c.id == account.id).values(blocked_at=blocked_at))
    return evolve(account, blocked_at=blocked_at)


def set_admin(connection: Connection, account: Account, admin_since: int | None) -> Account:
    """The account, an administrator's since then, or with None no longer. Its keys for admin open nothing meanwhile."""
    connection.execute(update(accounts).where(accounts.c.id == account.id).values(admin_since=admin_since))
    return evolve(account, admin_since=admin_since)


def delete_account(connection: Connection, account_id: str) -> None:
    """Remove the account with its credentials and sessions. Journal and usage keep its id, which names nobody then."""
    for table in (sessions, credentials, automatic_payouts):
        connection.execute(delete(table).where(table.c.account_id == account_id))
    connection.execute(delete(accounts).where(accounts.c.id == account_id))


def find_account(connection: Connection, name: str) -> Account | None:
    """The account of this name, in whatever case; None where there is none."""
    row = _row_of(connection, name)
    return None if row is None else _account(row)


def password_of(connection: Connection, name: str) -> tuple[Account, str | None] | None:
    """The account of this name, as `find_account`, with the hash of its password."""
    row = _row_of(connection, name)
    return None if row is None else (_account(row), row.password_hash)


def get_account(connection: Connection, name: str) -> Account:
    """The account of this name.

    Raises:
        InvalidRequest: there is none.
    """
    account = find_account(connection, name)
    if account is None:
        raise InvalidRequest(f"There is no account named {name!r}.", param="account", code="account_not_found")
    return account


def account_of_id(connection: Connection, account_id: str) -> Account | None:
    """The account of this id, or None."""
    if not is_account_name(account_id):  # ids are of the same characters
        return None
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).one_or_none()
    return None if row is None else _account(row)


def list_accounts(connection: Connection) -> list[Account]:
    """All accounts, the oldest first."""
    rows = connection.execute(select(accounts).order_by(accounts.c.created_at, accounts.c.id))
    return [_account(row) for row in rows]


def first_account_at(connection: Connection) -> int | None:
    """When the first of the accounts that are there was made, in microseconds since 1970; None where there is none."""
    found: int | None = connection.scalar(select(func.min(accounts.c.created_at)))
    return found


def _row_of(connection: Connection, name: str) -> Row[Any] | None:
    if not is_account_name(name):
        return None  # not every text can be asked a database for
    # Accounts of earlier versions may have capitals: those are theirs who type them.
    found = select(accounts).where(accounts.c.name.in_((name, name.lower())))
    return connection.execute(found.order_by(accounts.c.name != name).limit(1)).one_or_none()


def _account(row: Row[Any]) -> Account:
    return Account(row.id, row.name, row.created_at, row.admin_since, row.blocked_at)
