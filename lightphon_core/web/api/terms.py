"""Credentials as JSON: what a client may settle about one, and what it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import attrs
import msgspec

from lightphon_core.accounts.credentials import Credential
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import MAX_LIMIT, MAX_MODELS, MODEL_LENGTH, NAME_LENGTH, Terms
from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger.budgets import Budget, Period, budgets_of
from lightphon_core.ledger.usage import last_answers
from lightphon_core.money import MAX_MSAT
from lightphon_core.openai.route import Route, filters_of, route_of
from lightphon_core.storage.engine import Connection
from lightphon_core.types import Filters, RateLimits, Scope
from lightphon_core.web.api.body import Body

_SECOND_US = 1_000_000
_NO_SECONDS = 100_000_000_000
"""In the year 5138; in milliseconds, 1973."""

Name = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH)]
Models = Annotated[list[Annotated[str, msgspec.Meta(max_length=MODEL_LENGTH)]], msgspec.Meta(max_length=MAX_MODELS)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)]
Gateway = Annotated[str, msgspec.Meta(max_length=32, pattern="^[A-Za-z0-9_-]+$")]
Msat = Annotated[int, msgspec.Meta(ge=0, le=MAX_MSAT)]


class Limits(Body):
    """Of prompts and answers, in a minute and at once. null: no limit."""

    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    concurrent_requests: Limit | None = None


class Budgets(Body):
    """What may be spent in a day, a calendar month (UTC), and ever, in msat. null: no limit but the wallet."""

    day: Msat | None = None
    month: Msat | None = None
    total: Msat | None = None


class NewCredential(Body):
    """`name` is a note. `scopes` null: what its kind is for. `expires_at` is in seconds since 1970; null is never.
    `models` are the ids it may use; null is all. `route` has filters for requests that say nothing themselves: a
    default, which limits nothing. `used_by` is the kind of gateway that asks with it, such as openclaw: what is behind
    one of that kind does not serve it."""

    name: Name = ""
    scopes: list[Scope] | None = None
    expires_at: int | None = None
    models: Models | None = None
    limits: Limits = msgspec.field(default_factory=Limits)
    budgets: Budgets = msgspec.field(default_factory=Budgets)
    route: Route | None = None
    used_by: Gateway | None = None


class CredentialChange(Body):
    """As in a new one. What is left out stays as it is; what is given replaces the whole of what was."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    scopes: list[Scope] | msgspec.UnsetType = msgspec.UNSET
    expires_at: int | msgspec.UnsetType | None = msgspec.UNSET
    models: Models | msgspec.UnsetType | None = msgspec.UNSET
    limits: Limits | msgspec.UnsetType = msgspec.UNSET
    budgets: Budgets | msgspec.UnsetType = msgspec.UNSET
    route: Route | msgspec.UnsetType | None = msgspec.UNSET
    used_by: Gateway | msgspec.UnsetType | None = msgspec.UNSET


class BudgetState(msgspec.Struct, frozen=True):
    """How a budget stands. It begins anew at `resets_at`, in seconds since 1970; null is never."""

    amount_msat: int
    spent_msat: int
    held_msat: int
    resets_at: int | None


class BudgetStates(msgspec.Struct, frozen=True):
    """null: there is none."""

    day: BudgetState | None = None
    month: BudgetState | None = None
    total: BudgetState | None = None


class RateLimitsInfo(msgspec.Struct, frozen=True):
    """null: there is none."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None


class CredentialInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A key or token without its secret, of which `hint` is the end. `kind` is api_key, agent_token or node_token.
    Times are in seconds since 1970. `last_answer_on` is the day (UTC) of the last answer that it got; null: none yet,
    and for node tokens, which ask nothing, always."""

    id: str
    kind: str
    name: str
    hint: str
    scopes: list[Scope]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    models: list[str] | None
    limits: RateLimitsInfo
    budgets: BudgetStates
    route: Route | None
    used_by: str | None
    last_answer_on: date | None


class MadeCredential(CredentialInfo, frozen=True, kw_only=True):
    """The only answer that has the `secret`. `path` is what an agent token's base URL ends with."""

    secret: str
    path: str | None


class CredentialList(msgspec.Struct, frozen=True):
    """The oldest first."""

    data: list[CredentialInfo]


def new_terms(data: NewCredential) -> Terms:
    """What is asked for a new one."""
    return Terms(
        name=data.name,
        scopes=None if data.scopes is None else frozenset(data.scopes),
        expires_at=_us(data.expires_at),
        models=None if data.models is None else frozenset(data.models),
        limits=_rates(data.limits),
        filters=_filters(data.route),
        used_by=data.used_by,
    )


def changed_terms(terms: Terms, data: CredentialChange) -> Terms:
    """`terms` with what is asked to be otherwise."""
    if data.name is not msgspec.UNSET:
        terms = attrs.evolve(terms, name=data.name)
    if data.scopes is not msgspec.UNSET:
        terms = attrs.evolve(terms, scopes=frozenset(data.scopes))
    if data.expires_at is not msgspec.UNSET:
        terms = attrs.evolve(terms, expires_at=_us(data.expires_at))
    if data.models is not msgspec.UNSET:
        terms = attrs.evolve(terms, models=None if data.models is None else frozenset(data.models))
    if data.limits is not msgspec.UNSET:
        terms = attrs.evolve(terms, limits=_rates(data.limits))
    if data.route is not msgspec.UNSET:
        terms = attrs.evolve(terms, filters=_filters(data.route))
    if data.used_by is not msgspec.UNSET:
        terms = attrs.evolve(terms, used_by=data.used_by)
    return terms


def amounts(budgets: Budgets) -> dict[Period, int]:
    """The budgets that are asked for, in msat."""
    asked = {Period.DAY: budgets.day, Period.MONTH: budgets.month, Period.TOTAL: budgets.total}
    return {period: amount for period, amount in asked.items() if amount is not None}


def credential_infos(connection: Connection, found: Sequence[Credential]) -> list[CredentialInfo]:
    """Credentials, how their budgets stand, and when they got their last answers."""
    ids = [each.id for each in found]
    budgets, answered = budgets_of(connection, ids), last_answers(connection, ids)
    return [_info(each, budgets[each.id], answered.get(each.id)) for each in found]


def credential_info(connection: Connection, credential: Credential) -> CredentialInfo:
    """The same of one."""
    (info,) = credential_infos(connection, [credential])
    return info


def made_credential(connection: Connection, credential: Credential, secret: str) -> MadeCredential:
    """A new credential, with its secret."""
    info = credential_info(connection, credential)
    path = f"/api/agent/{secret}" if credential.kind is Kind.AGENT_TOKEN else None
    return MadeCredential(**{name: getattr(info, name) for name in info.__struct_fields__}, secret=secret, path=path)


def _info(credential: Credential, budgets: Sequence[Budget], last_answer_on: date | None) -> CredentialInfo:
    terms = credential.terms
    return CredentialInfo(
        id=credential.id,
        kind=credential.kind.value,
        name=terms.name,
        hint=credential.hint,
        scopes=sorted(credential.scopes),
        created_at=credential.created_at // _SECOND_US,
        expires_at=_seconds(terms.expires_at),
        revoked_at=_seconds(credential.revoked_at),
        models=None if terms.models is None else sorted(terms.models),
        limits=RateLimitsInfo(**attrs.asdict(terms.limits)),
        budgets=BudgetStates(**{each.period.value: _state(each) for each in budgets}),
        route=route_of(terms.filters),
        used_by=terms.used_by,
        last_answer_on=last_answer_on,
    )


def _state(budget: Budget) -> BudgetState:
    return BudgetState(budget.amount, budget.spent, budget.held, _seconds(budget.resets_at))


def _rates(limits: Limits) -> RateLimits:
    return RateLimits(limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)


def _filters(route: Route | None) -> Filters:
    return Filters() if route is None else filters_of(route, "route")


def _seconds(us: int | None) -> int | None:
    return None if us is None else us // _SECOND_US


def _us(seconds: int | None) -> int | None:
    if seconds is not None and seconds >= _NO_SECONDS:
        raise InvalidRequest("A time is in seconds since 1970; this one looks like milliseconds.", param="expires_at")
    return None if seconds is None else seconds * _SECOND_US
