"""What a credential may do, for how long, and who may say so. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from datetime import UTC, datetime

from attrs import asdict, evolve, field, frozen

from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import is_session
from lightphon_core.errors import InvalidRequest, PermissionDenied
from lightphon_core.types import GATEWAY_WORD, Filters, Principal, RateLimits, Scope, is_gateway

NAME_LENGTH = 64
MAX_MODELS = 64
MODEL_LENGTH = 200
MAX_LIMIT = 1_000_000_000
MAX_LIFETIME_US = 3_653 * 86_400_000_000
"""Ten years, as long as they may be."""

ALLOWED_SCOPES: dict[Kind, frozenset[Scope]] = {
    Kind.API_KEY: frozenset({Scope.INFERENCE, Scope.ACCOUNT, Scope.MANAGE, Scope.ADMIN}),
    # It stands in URLs, which end up in histories, logs and screenshots.
    Kind.AGENT_TOKEN: frozenset({Scope.INFERENCE}),
    Kind.NODE_TOKEN: frozenset({Scope.NODE}),
}
"""What each kind may be made for."""

OWN_SCOPES: dict[Kind, frozenset[Scope]] = {
    Kind.API_KEY: frozenset({Scope.INFERENCE}),
    Kind.AGENT_TOKEN: frozenset({Scope.INFERENCE}),
    Kind.NODE_TOKEN: frozenset({Scope.NODE}),
}
"""What each kind is for unless told."""


@frozen
class Terms:
    """What the owner of a credential has settled about it.

    `name` is a note to tell it from others. `scopes` None stands for the kind's own. `expires_at` is in microseconds
    since 1970, UTC; None is never. `models` are the ids of those it may use, None all. `limits` are its own; those of
    its account hold beside them. `filters` hold for its requests where they say nothing themselves: a default, which
    limits nothing. `used_by` is the kind of gateway that asks with it, as `Principal.used_by`.
    """

    name: str = ""
    scopes: frozenset[Scope] | None = None
    expires_at: int | None = None
    models: frozenset[str] | None = None
    limits: RateLimits = field(factory=RateLimits)
    filters: Filters = field(factory=Filters)
    used_by: str | None = None


def valid_terms(terms: Terms, kind: Kind, *, at: int, admin: bool, before: Terms | None = None) -> Terms:
    """`terms` with their scopes filled in, and `used_by` in lower case. `at` is now, in microseconds; `admin`: whether
    the account is an administrator's; `before` are the terms that these replace.

    Raises:
        InvalidRequest: a credential of this kind cannot have them. `param` names what is at fault.
    """
    if len(terms.name) > NAME_LENGTH or not terms.name.isprintable():
        raise InvalidRequest(f"A name has at most {NAME_LENGTH} printable characters.", param="name")
    scopes = OWN_SCOPES[kind] if terms.scopes is None else terms.scopes
    _check_scopes(scopes, kind, admin=admin)
    if before is None or terms.expires_at != before.expires_at:
        _check_expiry(terms.expires_at, at)
    _check_models(terms.models)
    for name, limit in asdict(terms.limits).items():
        if limit is not None and not 0 < limit <= MAX_LIMIT:
            raise InvalidRequest(f"{name} is from 1 to {MAX_LIMIT}. Leave it out for no limit.", param=name)
    if terms.used_by is not None and not is_gateway(terms.used_by):
        raise InvalidRequest(f"What uses it is named by {GATEWAY_WORD}, such as openclaw.", param="used_by")
    if kind is Kind.NODE_TOKEN:
        _check_idle(terms)
    return evolve(terms, scopes=scopes, used_by=terms.used_by and terms.used_by.lower())


def grantable(principal: Principal) -> frozenset[Scope]:
    """What this principal may make credentials for, given that it may make any: never what it lacks itself.

    A session is the account's owner and so grants inference, which itself it is not for. Whoever may change what the
    account has may let nodes in: a node token opens nothing of the account.
    """
    inference = {Scope.INFERENCE} if is_session(principal) else set()
    node = {Scope.NODE} if Scope.MANAGE in principal.scopes else set()
    return principal.scopes | inference | node


def check_grant(principal: Principal, kind: Kind, terms: Terms) -> None:
    """Pass terms on that the principal may give: none wider than its own. Where it has limits it gives none that ask
    for anything, since two keys may ask for twice as much.

    Raises:
        PermissionDenied: they go beyond its scopes, its end, its models or its limits.
    """
    scopes = OWN_SCOPES[kind] if terms.scopes is None else terms.scopes
    if lacking := scopes - grantable(principal):
        raise _beyond(f"for {_words(lacking)}")
    if (ends := principal.expires_at) is not None and (terms.expires_at is None or terms.expires_at > ends):
        raise _beyond(f"that outlives it: it expires at {as_utc(ends)}")
    if kind is Kind.NODE_TOKEN:
        return
    if principal.models is not None and (terms.models is None or not terms.models <= principal.models):
        raise _beyond("for models that it is not for itself")
    if principal.limits != RateLimits():
        raise _beyond("beside its own limits")
    if principal.used_by is not None and (terms.used_by or "").lower() != principal.used_by:
        raise _beyond(f"that is not marked as used by {principal.used_by}, as it is itself")


def check_gateway(used_by: str | None, known: Collection[str]) -> None:
    """Pass on what a key may be marked as used by: one of the kinds of gateway that the plugins know, in any case.

    A mark that was misspelt would guard against nothing, and nobody would notice. Where no plugin knows any, nothing
    can be told from a slip.

    Raises:
        InvalidRequest: no plugin knows it.
    """
    word = (used_by or "").lower()
    if not is_gateway(word) or not known or word in known:
        return  # what is no word at all is refused with the other terms
    nearest = difflib.get_close_matches(word, known, n=1)
    question = f"Did you mean {nearest[0]!r}? " if nearest else ""
    raise InvalidRequest(
        f"Nothing here is behind a gateway called {word!r}, so this mark would keep nothing away. {question}"
        f"There is: {', '.join(sorted(known))}. Leave used_by out for a program that is none of these.",
        param="used_by",
    )


def as_utc(microseconds: int) -> str:
    """A time as a person reads it: 2026-11-22 13:50 UTC."""
    return f"{datetime.fromtimestamp(microseconds // 1_000_000, UTC):%Y-%m-%d %H:%M} UTC"


def _check_scopes(scopes: frozenset[Scope], kind: Kind, *, admin: bool) -> None:
    allowed = ALLOWED_SCOPES[kind]
    if not scopes or not scopes <= allowed:
        raise InvalidRequest(f"What {kind.one} is for is one or more of: {_words(allowed)}.", param="scopes")
    if Scope.ADMIN in scopes and not admin:
        raise InvalidRequest("Only an administrator's key can be for admin.", param="scopes")


def _check_expiry(expires_at: int | None, at: int) -> None:
    if expires_at is not None and not at < expires_at <= at + MAX_LIFETIME_US:
        raise InvalidRequest("It expires in the future, and within ten years.", param="expires_at")


def _check_models(models: frozenset[str] | None) -> None:
    if models is None:
        return
    if not 0 < len(models) <= MAX_MODELS:
        raise InvalidRequest(f"Name 1 to {MAX_MODELS} models, or leave them out for all.", param="models")
    for model in models:
        if not 0 < len(model) <= MODEL_LENGTH or not model.isprintable():
            raise InvalidRequest(f"A model's id has 1 to {MODEL_LENGTH} printable characters.", param="models")
        if model.partition(":")[0] == "auto":
            # As the only one it would leave nothing that the key may use.
            raise InvalidRequest(
                f"{model!r} is no model's id: every key may ask for it, and gets one of its models. Leave it out.",
                param="models",
            )


def _check_idle(terms: Terms) -> None:
    if terms.models is not None or terms.limits != RateLimits():
        raise InvalidRequest("A node token has no models and no limits: it asks for nothing.", param="kind")
    if terms.filters != Filters():
        raise InvalidRequest("A node token has no filters: it asks for nothing.", param="route")
    if terms.used_by is not None:
        raise InvalidRequest("A node token is used by nodes alone: it asks for nothing.", param="used_by")


def _words(scopes: frozenset[Scope]) -> str:
    return ", ".join(sorted(scopes))


def _beyond(what: str) -> PermissionDenied:
    return PermissionDenied(f"This credential cannot make or change one {what}. Use one that may, or log in.")
