"""Invitations: each lets one person register, once, until it expires."""

from __future__ import annotations

import re

from sqlalchemy import Connection, delete, insert, select

from lightphon_core.accounts.secrets import hash_secret, random_text
from lightphon_core.storage.schema import invites, microseconds

_CODE = re.compile(r"li_[A-Za-z0-9]{36}")


def create_invite(connection: Connection, *, now: float, lifetime_s: float) -> str:
    """The code of a new invitation, which is kept nowhere."""
    at = microseconds(now)
    connection.execute(delete(invites).where(invites.c.expires_at <= at))
    code = f"li_{random_text(36)}"
    connection.execute(
        insert(invites).values(
            id=f"inv_{random_text(16)}",
            code_hash=hash_secret(code),
            created_at=at,
            expires_at=at + microseconds(lifetime_s),
        )
    )
    return code


def is_invite(connection: Connection, code: str, *, now: float) -> bool:
    """Whether this code admits somebody."""
    if not _CODE.fullmatch(code):
        return False
    query = select(invites.c.id).where(
        invites.c.code_hash == hash_secret(code), invites.c.expires_at > microseconds(now)
    )
    return connection.execute(query).one_or_none() is not None


def use_invite(connection: Connection, code: str, *, now: float) -> bool:
    """Use it up. False where it admits nobody (any more)."""
    if not is_invite(connection, code, now=now):
        return False
    used = connection.execute(delete(invites).where(invites.c.code_hash == hash_secret(code)))
    return used.rowcount == 1
