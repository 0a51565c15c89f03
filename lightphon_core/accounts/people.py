"""Accounts: whom requests act for."""

from __future__ import annotations

import re

from attrs import frozen
from sqlalchemy import Connection, Row, insert, select

from lightphon_core.accounts.secrets import random_text
from lightphon_core.errors import InvalidRequest
from lightphon_core.storage.schema import accounts, microseconds

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


@frozen
class Account:
    """`created_at` is in microseconds since 1970, UTC."""

    id: str
    name: str
    created_at: int


def create_account(connection: Connection, name: str, *, now: float) -> Account:
    """A new account. `now` is in seconds since 1970, UTC.

    Raises:
        InvalidRequest: the name is taken, or is not 1 to 64 letters, digits and . _ @ + - with a letter or digit first.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "An account name has 1 to 64 letters, digits and . _ @ + -, and begins with a letter or digit.",
            param="name",
        )
    if find_account(connection, name) is not None:
        raise InvalidRequest(f"There is an account named {name} already.", param="name", code="account_exists")
    account = Account(f"acc_{random_text(16)}", name, microseconds(now))
    connection.execute(insert(accounts).values(id=account.id, name=account.name, created_at=account.created_at))
    return account


def find_account(connection: Connection, name: str) -> Account | None:
    """The account of this name, or None."""
    row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def get_account(connection: Connection, name: str) -> Account:
    """The account of this name.

    Raises:
        InvalidRequest: there is none.
    """
    account = find_account(connection, name)
    if account is None:
        raise InvalidRequest(f"There is no account named {name!r}.", param="account", code="account_not_found")
    return account


def list_accounts(connection: Connection) -> list[Account]:
    """All accounts, the oldest first."""
    rows = connection.execute(select(accounts).order_by(accounts.c.created_at, accounts.c.id))
    return [_account(row) for row in rows]


def _account(row: Row[str, str, int]) -> Account:
    return Account(row.id, row.name, row.created_at)
