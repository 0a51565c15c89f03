"""Whose password a log-in is checked against."""

from __future__ import annotations

from attrs import field, frozen
from sqlalchemy import Connection, select

from lightphon_core.accounts.device_cookies import Device, vouched_for
from lightphon_core.accounts.people import Account, account_of_id, password_of
from lightphon_core.storage.schema import accounts


@frozen
class Login:
    """An account, and the hash of its password; None where nobody can log in to it."""

    account: Account
    password_hash: str | None = field(repr=False)


def find_login(connection: Connection, name: str) -> Login | None:
    """That of a name, if there is one."""
    # One query whoever it is, so that its time does not say whether there is such an account.
    found = password_of(connection, name)
    return None if found is None else Login(*found)


def login_of_id(connection: Connection, account_id: str) -> Login | None:
    """That of an account's id, if there is one."""
    account = account_of_id(connection, account_id)
    if account is None:
        return None
    hashes = select(accounts.c.password_hash).where(accounts.c.id == account.id)
    return Login(account, connection.execute(hashes).scalar_one())


def known_login(connection: Connection, name: str, device: Device) -> Login | None:
    """That of a name, if the device's browser was logged in to its account before, which is not blocked.

    The row is asked for by the id in the cookie. Who makes a cookie up knows no id, so neither this look nor its time
    says whether there is such a name.
    """
    known = login_of_id(connection, device.account_id)
    if known is None or known.password_hash is None or not vouched_for(device, known.password_hash):
        return None
    if known.account.blocked_at is not None or known.account.name.lower() != name.lower():
        return None
    return known if find_login(connection, name) == known else None  # of two older ones each is who is typed
