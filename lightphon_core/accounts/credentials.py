"""Credentials: API keys, agent tokens and node tokens. Only a hash of each secret is kept."""

from __future__ import annotations

import hmac
import json
import re
from typing import Any

import msgspec
from attrs import evolve, frozen
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from lightphon_core.accounts.people import Account
from lightphon_core.accounts.secrets import Kind, hash_secret, hint, new_secret, random_text
from lightphon_core.accounts.terms import OWN_SCOPES, Terms, valid_terms
from lightphon_core.errors import InvalidRequest, NotFound
from lightphon_core.storage.schema import accounts, credentials, microseconds
from lightphon_core.types import Filters, RateLimits, Scope

MOST_OF_AN_ACCOUNT = 200
"""Credentials of all kinds that are not revoked."""

_filters = msgspec.json.Decoder(Filters)
_ID = re.compile(r"cred_[A-Za-z0-9]{16}")
_WITH_ACCOUNT = select(credentials, accounts.c.name.label("account"), accounts.c.blocked_at, accounts.c.admin_since)
_WITH_ACCOUNT = _WITH_ACCOUNT.join(accounts)
# Made once: every request runs it.
_BY_HASH = _WITH_ACCOUNT.where(credentials.c.secret_hash == bindparam("digest"))


@frozen
class Credential:
    """A credential without its secret, of which `hint` is the end. Times are in microseconds since 1970, UTC.

    `account`, `blocked_at` and `admin_since` are its account's: the name, and since when it is blocked, or an
    administrator's.
    """

    id: str
    account_id: str
    account: str
    kind: Kind
    terms: Terms
    hint: str
    created_at: int
    revoked_at: int | None = None
    blocked_at: int | None = None
    admin_since: int | None = None

    @property
    def scopes(self) -> frozenset[Scope]:
        """What it was made for."""
        return OWN_SCOPES[self.kind] if self.terms.scopes is None else self.terms.scopes


def create_credential(
    connection: Connection, account: Account, kind: Kind, *, now: float, terms: Terms | None = None
) -> tuple[Credential, str]:
    """A new credential and its secret, which is kept nowhere: show it now. `now` is in seconds since 1970, UTC.

    Raises:
        InvalidRequest: the kind cannot have these terms, or the account has as many credentials as it may.
    """
    at = microseconds(now)
    settled = valid_terms(terms or Terms(), kind, at=at, admin=account.admin_since is not None)
    _require_room(connection, account.id)
    secret = new_secret(kind)
    credential = Credential(
        id=f"cred_{random_text(16)}",
        account_id=account.id,
        account=account.name,
        kind=kind,
        terms=settled,
        hint=hint(secret),
        created_at=at,
        blocked_at=account.blocked_at,
        admin_since=account.admin_since,
    )
    connection.execute(
        insert(credentials).values(
            id=credential.id,
            account_id=account.id,
            kind=kind.value,
            secret_hash=hash_secret(secret),
            hint=credential.hint,
            created_at=at,
            **_columns(credential),
        )
    )
    return credential, secret


def change_credential(
    connection: Connection, account_id: str, kind: Kind, credential_id: str, terms: Terms, *, now: float
) -> Credential:
    """Give it other terms, all of them; its secret stays. One that has expired may be given another expiry.

    Raises:
        NotFound: the account has none of this kind and id.
        InvalidRequest: it is revoked (`credential_revoked`), or the kind cannot have these terms.
    """
    found = get_credential(connection, account_id, kind, credential_id)
    if found.revoked_at is not None:
        raise InvalidRequest(
            f"This {kind.words} is revoked, for good. Create another.", param="id", code="credential_revoked"
        )
    admin = found.admin_since is not None
    changed = evolve(found, terms=valid_terms(terms, kind, at=microseconds(now), admin=admin, before=found.terms))
    connection.execute(update(credentials).where(credentials.c.id == found.id).values(**_columns(changed)))
    return changed


def get_credential(connection: Connection, account_id: str | None, kind: Kind, credential_id: str) -> Credential:
    """The credential of this id; with an account, only if it is that one's.

    Raises:
        NotFound: there is none. Another account's and none at all are told in the same words.
    """
    query = _WITH_ACCOUNT.where(credentials.c.id == credential_id)
    # Not every text can be asked a database for; and what is taken for an id may be a secret, so nothing repeats it.
    row = connection.execute(query).one_or_none() if _ID.fullmatch(credential_id) else None
    if row is None or (account_id is not None and row.account_id != account_id):
        raise NotFound(f"There is no {kind.words} with this id.", param="id")
    found = _credential(row)
    if found.kind is not kind:
        raise NotFound(f"{found.id} is the id of {found.kind.one}, not {kind.one}.", param="id")
    return found


def list_credentials(
    connection: Connection, *, account_id: str | None = None, kind: Kind | None = None, revoked: bool = True
) -> list[Credential]:
    """Credentials, the oldest first; `revoked` ones too, unless told."""
    query = _WITH_ACCOUNT.order_by(credentials.c.created_at, credentials.c.id)
    if account_id is not None:
        query = query.where(credentials.c.account_id == account_id)
    if kind is not None:
        query = query.where(credentials.c.kind == kind.value)
    if not revoked:
        query = query.where(credentials.c.revoked_at.is_(None))
    return [_credential(row) for row in connection.execute(query)]


def revoke_credential(
    connection: Connection, kind: Kind, credential_id: str, *, now: float, account_id: str | None = None
) -> Credential:
    """Revoke for good; with an account, only if it is that one's. Revoking again changes nothing, and returns the
    credential with the time of the first.

    Raises:
        NotFound: there is none, as `get_credential` says it.
    """
    found = get_credential(connection, account_id, kind, credential_id)
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


def _require_room(connection: Connection, account_id: str) -> None:
    query = select(func.count()).where(credentials.c.account_id == account_id, credentials.c.revoked_at.is_(None))
    if connection.execute(query).scalar_one() >= MOST_OF_AN_ACCOUNT:
        raise InvalidRequest(
            f"An account has at most {MOST_OF_AN_ACCOUNT} keys and tokens. Revoke those that are not used.",
            code="too_many_credentials",
        )


def _columns(credential: Credential) -> dict[str, Any]:
    terms = credential.terms
    return {
        "name": terms.name,
        "scopes": " ".join(sorted(credential.scopes)),
        "expires_at": terms.expires_at,
        "models": None if terms.models is None else json.dumps(sorted(terms.models)),
        "requests_per_minute": terms.limits.requests_per_minute,
        "tokens_per_minute": terms.limits.tokens_per_minute,
        "concurrent_requests": terms.limits.concurrent_requests,
        "filters": _stored(terms.filters),
        "used_by": terms.used_by,
    }


def _stored(filters: Filters) -> str | None:
    return None if filters == Filters() else msgspec.json.encode(filters, order="deterministic").decode()


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        row.id,
        row.account_id,
        row.account,
        Kind(row.kind),
        Terms(
            row.name,
            frozenset(map(Scope, row.scopes.split())),
            row.expires_at,
            None if row.models is None else frozenset(json.loads(row.models)),
            RateLimits(row.requests_per_minute, row.tokens_per_minute, row.concurrent_requests),
            Filters() if row.filters is None else _filters.decode(row.filters),
            row.used_by,
        ),
        row.hint,
        row.created_at,
        row.revoked_at,
        row.blocked_at,
        row.admin_since,
    )
