"""Sessions: people who are logged in, by a token in a cookie of which only a hash is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen
from sqlalchemy import Connection, delete, func, insert, select

from lightphon_core.accounts.secrets import hash_secret, random_text
from lightphon_core.storage.schema import accounts, microseconds, sessions
from lightphon_core.types import Principal

COOKIE = "lightphon_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Its name where there is https: browsers then let no other host and no plain http set it."""

PLAYGROUND = "playground"
"""Stands in the books for all of an account's sessions: what people ask of models without a key."""

_ID_PREFIX = "sess_"
_TOKEN = re.compile(r"ls_[A-Za-z0-9]{36}")


@frozen
class Session:
    """Times are in microseconds since 1970, UTC. Until `recent_until` the password counts as just given. `blocked_at`
    and `admin_since` are the account's.
    """

    id: str
    account_id: str
    recent_until: int
    blocked_at: int | None
    admin_since: int | None


def is_session(principal: Principal) -> bool:
    """Whether somebody who is logged in stands behind it, and no key or token."""
    return principal.credential_id.startswith(_ID_PREFIX)


def booked_under(principal: Principal) -> str:
    """What the books have instead of a credential's id: the sessions of an account are one, since they come and go, and
    people know none of them by its id."""
    return PLAYGROUND if is_session(principal) else principal.credential_id


def session_token(cookies: Mapping[str, str]) -> str | None:
    """The text that may be a session's token."""
    return cookies.get(SECURE_COOKIE) or cookies.get(COOKIE)


def is_token(text: str) -> bool:
    """Whether `text` could be a session's token. Says nothing about its being one."""
    return _TOKEN.fullmatch(text) is not None


def open_session(connection: Connection, account_id: str, *, now: float, lifetime_s: float, recent_s: float) -> str:
    """The token of a new session, which is kept nowhere. Sessions that have expired are removed by the way."""
    at = microseconds(now)
    connection.execute(delete(sessions).where(sessions.c.expires_at <= at))
    token = f"ls_{random_text(36)}"
    connection.execute(
        insert(sessions).values(
            id=f"{_ID_PREFIX}{random_text(16)}",
            account_id=account_id,
            token_hash=hash_secret(token),
            created_at=at,
            expires_at=at + microseconds(lifetime_s),
            recent_until=at + microseconds(recent_s),
        )
    )
    return token


def find_session(connection: Connection, token: str, *, now: float) -> Session | None:
    """The session of this token; None where there is none, or none any more."""
    if not is_token(token):
        return None
    query = (
        select(
            sessions.c.id,
            sessions.c.account_id,
            sessions.c.recent_until,
            accounts.c.blocked_at,
            accounts.c.admin_since,
        )
        .join(accounts)
        .where(sessions.c.token_hash == hash_secret(token), sessions.c.expires_at > microseconds(now))
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Session(*row)


def end_session(connection: Connection, token: str) -> str | None:
    """End the session of this token. The id of its account; None where there is no such session."""
    if not is_token(token):
        return None
    ending = delete(sessions).where(sessions.c.token_hash == hash_secret(token)).returning(sessions.c.account_id)
    return connection.execute(ending).scalar_one_or_none()


def count_others(connection: Connection, account_id: str, session_id: str, *, now: float) -> int:
    """How many sessions an account has beside this one."""
    others = (sessions.c.account_id == account_id, sessions.c.id != session_id)
    query = select(func.count()).where(*others, sessions.c.expires_at > microseconds(now))
    return connection.execute(query).scalar_one()


def end_sessions(connection: Connection, account_id: str, *, but: str = "") -> None:
    """End all sessions of an account, but for the one of this id."""
    connection.execute(delete(sessions).where(sessions.c.account_id == account_id, sessions.c.id != but))
