"""/api/usage: what an account used, by day, model and key."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.accounts.sessions import PLAYGROUND
from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger.usage import SUMS_AT_ONCE, Dimension, UsageSum, usage_of
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals

DAYS = 30
"""How many are summed up unless told."""
DIMENSIONS: dict[str, Dimension] = {"day": "day", "model": "model", "key": "key"}
_WORDS = f"({'|'.join(DIMENSIONS)})"


class Used(msgspec.Struct, frozen=True):
    """The answers of a group together. `key` is an id, or "playground" for all that was asked
    without a key. `ms` is time of inference. What they are not grouped by is null."""

    day: date | None
    model: str | None
    key: str | None
    key_name: str | None
    requests: int
    prompt_tokens: int
    completion_tokens: int
    ms: int
    cost_msat: int


class Usage(msgspec.Struct, frozen=True):
    """The newest day first, and of a day what cost most. `truncated`: there are more groups than fit; ask for fewer
    days."""

    first: date
    last: date
    data: list[Used]
    truncated: bool


@get(
    "/usage",
    name="usage",
    tags=["wallet"],
    guards=[Requires(Scope.ACCOUNT)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def get_usage(
    principal: Given[Principal],
    database: Given[Database],
    gateway: Given[Gateway],
    first: Annotated[date | None, QueryParameter(description="The first day, UTC; 29 days before the last.")] = None,
    last: Annotated[date | None, QueryParameter(description="The last day; today.")] = None,
    by: Annotated[
        str,
        QueryParameter(
            pattern=f"^{_WORDS}(,{_WORDS}){{0,2}}$", description="day, model and key, with commas between them."
        ),
    ] = "day",
) -> Usage:
    """What the account used."""
    begin, end = span(first, last, today=datetime.fromtimestamp(gateway.clock.now(), UTC).date())
    dimensions = frozenset(DIMENSIONS[word] for word in by.split(","))
    return await database.read(
        lambda connection: used_by(connection, principal.account_id, first=begin, last=end, by=dimensions)
    )


def span(first: date | None, last: date | None, *, today: date) -> tuple[date, date]:
    """The first and last day that are asked for. Raises `InvalidRequest`."""
    last = last or today
    first = first or date.fromordinal(max(last.toordinal() - DAYS + 1, 1))
    if first > last:
        raise InvalidRequest("The first day is after the last.", param="first")
    return first, last


def used_by(
    connection: Connection,
    account_id: str,
    *,
    first: date,
    last: date,
    by: frozenset[Dimension],
    most: int = SUMS_AT_ONCE,
) -> Usage:
    """What the account of this id used, with the names of its keys: `most` sums at most."""
    sums = usage_of(connection, account_id, first=first, last=last, by=by, limit=most + 1)
    names = {}
    if "key" in by:
        names = {each.id: each.terms.name for each in list_credentials(connection, account_id=account_id)}
        names[PLAYGROUND] = "Playground"
    data = [_used(each, names) for each in sums[:most]]
    return Usage(first, last, data, truncated=len(sums) > most)


def _used(each: UsageSum, names: dict[str, str]) -> Used:
    key = each.credential_id
    return Used(
        day=each.day,
        model=each.model,
        key=key,
        key_name=None if key is None else names.get(key),
        requests=each.requests,
        prompt_tokens=each.prompt_tokens,
        completion_tokens=each.completion_tokens,
        ms=each.ms,
        cost_msat=each.cost_msat,
    )
