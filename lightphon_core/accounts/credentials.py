"""Credentials: API keys, agent tokens and node tokens. Only a hash of each secret is kept."""

from __future__ import annotations

import hmac
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from lightphon_core.accounts.people import Account
from lightphon_core.accounts.secrets import Kind, hash_secret, hint, new_secret, random_text
from lightphon_core.errors import InvalidRequest
from lightphon_core.storage.schema import accounts, credentials, microseconds

_NAME_LENGTH = 64
_WITH_ACCOUNT = select(credentials, accounts.c.name.label("account"), accounts.c.blocked_at).join(accounts)
# Made once: every request runs it.
_BY_HASH = _WITH_ACCOUNT.where(credentials.c.secret_hash == bindparam("digest"))


@frozen
class Credential:
    """A credential without its secret, of which `hint` is the end. Times are in microseconds since 1970, UTC.

    `blocked_at` is its account's.
    """

    id: str
    account_id: str
    account: str
    kind: Kind
    name: str
    hint: str
    created_at: int
    revoked_at: int | None = None
    blocked_at: int | None = None


def create_credential(
    connection: Connection, account: Account, kind: Kind, *, name: str = "", now: float
) -> tuple[Credential, str]:
    """A new credential and its secret, which is kept nowhere: show it now. `name` is the owner's own note.

    Raises:
        InvalidRequest: the name is over 64 characters, or has some that cannot be printed.
    """
    if len(name) > _NAME_LENGTH or not name.isprintable():
        raise InvalidRequest(f"A name has at most {_NAME_LENGTH} printable characters.", param="name")
    secret = new_secret(kind)
    credential = Credential(
        f"cred_{random_text(16)}", account.id, account.name, kind, name, hint(secret), microseconds(now)
    )
    connection.execute(
        insert(credentials).values(
            id=credential.id,
            account_id=account.id,
            kind=kind.value,
            name=name,
            secret_hash=hash_secret(secret),
            hint=credential.hint,
            created_at=credential.created_at,
        )
    )
    return credential, secret


def list_credentials(
    connection: Connection, *, kind: Kind | None = None, account: Account | None = None
) -> list[Credential]:
    """Credentials, revoked ones too, the oldest first."""
    query = _WITH_ACCOUNT.order_by(credentials.c.created_at, credentials.c.id)
    if kind is not None:
        query = query.where(credentials.c.kind == kind.value)
    if account is not None:
        query = query.where(credentials.c.account_id == account.id)
    return [_credential(row) for row in connection.execute(query)]


def revoke_credential(connection: Connection, kind: Kind, credential_id: str, *, now: float) -> Credential:
    """Revoke for good. Revoking again changes nothing, and returns the credential with the time of the first.

    Raises:
        InvalidRequest: there is none of this kind and id.
    """
    row = connection.execute(_WITH_ACCOUNT.where(credentials.c.id == credential_id)).one_or_none()
    found = None if row is None else _credential(row)
    if found is None:
        raise InvalidRequest(f"There is no {kind.words} with the id {credential_id!r}.", param="id", code="not_found")
    if found.kind is not kind:
        raise InvalidRequest(f"{found.id} is no {kind.words}, but an id of the kind {found.kind.words}.", param="id")
    if found.revoked_at is not None:
        return found
    revoked_at = microseconds(now)
    connection.execute(update(credentials).where(credentials.c.id == found.id).values(revoked_at=revoked_at))
    return evolve(found, revoked_at=revoked_at)


def find_by_secret(connection: Connection, kind: Kind, secret: str) -> Credential | None:
    """The credential of this secret, revoked or not; None if there is none of this kind.

    The index is asked for the hash, so its timing says nothing about any stored secret; the comparison that decides
    takes constant time all the same.
    """
    digest = hash_secret(secret)
    row = connection.execute(_BY_HASH, {"digest": digest}).one_or_none()
    if row is None or row.kind != kind.value or not hmac.compare_digest(row.secret_hash, digest):
        return None
    return _credential(row)


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        row.id,
        row.account_id,
        row.account,
        Kind(row.kind),
        row.name,
        row.hint,
        row.created_at,
        row.revoked_at,
        row.blocked_at,
    )
