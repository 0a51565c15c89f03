"""Accounts as an administrator looks through them, and lets people in and out."""

from __future__ import annotations

from collections.abc import Collection

from attrs import fields
from sqlalchemy import Connection, func, select

from lightphon_core.accounts.people import Account, account_of_id, set_blocked
from lightphon_core.errors import InvalidRequest, NotFound
from lightphon_core.storage.schema import accounts, microseconds


def search_accounts(connection: Connection, *, search: str = "", after: str = "", limit: int) -> list[Account]:
    """Up to `limit` accounts, by name: those behind the name `after` that contain `search`, whatever the case."""
    columns = (accounts.c[each.name] for each in fields(Account))
    query = select(*columns).where(accounts.c.name > after).order_by(accounts.c.name).limit(limit)
    if search:
        query = query.where(accounts.c.name.icontains(search, autoescape=True))
    return [Account(*row) for row in connection.execute(query)]


def names_of(connection: Connection, account_ids: Collection[str]) -> dict[str, str]:
    """What the accounts of these ids are called; those that are gone are left out."""
    query = select(accounts.c.id, accounts.c.name).where(accounts.c.id.in_(account_ids))
    return {row.id: row.name for row in connection.execute(query)}


def existing_account(connection: Connection, account_id: str) -> Account:
    """The account of this id. Raises `NotFound`."""
    account = account_of_id(connection, account_id)
    if account is None:
        raise NotFound("There is no account with this id.", param="id")
    return account


def block_account(connection: Connection, account_id: str, *, now: float) -> Account:
    """Block the account: no log-in, and none of its keys and tokens work. Blocking again keeps the time of the first.

    Raises:
        NotFound: there is none.
        InvalidRequest: nobody would be left to administer.
    """
    account = existing_account(connection, account_id)
    if account.blocked_at is not None:
        return account
    if is_last_administrator(connection, account):
        raise InvalidRequest(
            "This is the last administrator who is not blocked. Make somebody else one first: "
            "`lightphon account admin NAME`.",
            param="id",
            code="last_administrator",
        )
    return set_blocked(connection, account, microseconds(now))


def unblock_account(connection: Connection, account_id: str) -> Account:
    """Let the account in again. Raises `NotFound`."""
    return set_blocked(connection, existing_account(connection, account_id), None)


def is_last_administrator(connection: Connection, account: Account) -> bool:
    """Whether nobody but this account is an administrator who is not blocked."""
    if account.admin_since is None or account.blocked_at is not None:
        return False
    able = select(func.count()).where(accounts.c.admin_since.is_not(None), accounts.c.blocked_at.is_(None))
    return connection.execute(able).scalar_one() == 1


def duties_of(connection: Connection, account_id: str) -> list[str]:
    """Why the account of this id is needed, one sentence each; none where it can go."""
    account = account_of_id(connection, account_id)
    if account is None or not is_last_administrator(connection, account):
        return []
    return ["It is the last administrator's."]
