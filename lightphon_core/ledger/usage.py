"""What was used: a row for each answer, and their sums by day, which stay when the rows are removed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen
from sqlalchemy import Connection, bindparam, delete, func, insert, select, true

from lightphon_core.ledger.periods import day_of
from lightphon_core.storage.schema import credentials, usage, usage_days

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

SUMS_AT_ONCE = 1_000
"""The most sums that one question is answered with."""

LATELY = 20
"""The number of answers that say what one costs."""

Dimension = Literal["day", "model", "key"]

_FIRST_DAY = date(1970, 1, 1)
_COLUMNS = {"day": usage_days.c.day, "model": usage_days.c.model, "key": usage_days.c.credential_id}
_COUNTED = ("prompt_tokens", "completion_tokens", "ms", "cost_msat")
_ADDED = ("requests", *_COUNTED)


@cache
def _add(dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Adds to the sums, in the words of a database. Only those that are asked for are loaded, which takes a while."""
    statement: postgresql.Insert | sqlite.Insert
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        statement = postgresql_insert(usage_days)
    else:
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        statement = sqlite_insert(usage_days)
    added = {name: usage_days.c[name] + statement.excluded[name] for name in _ADDED}
    return statement.on_conflict_do_update(index_elements=list(usage_days.primary_key), set_=added)


_OLD = select(usage.c.id).where(usage.c.at < bindparam("before")).order_by(usage.c.at).limit(bindparam("most"))
_remove_old = delete(usage).where(usage.c.id.in_(_OLD))


@frozen
class UsageSum:
    """The answers of a group together; `ms` is time of inference. What they were not grouped by is None."""

    day: date | None
    model: str | None
    credential_id: str | None
    requests: int
    prompt_tokens: int
    completion_tokens: int
    ms: int
    cost_msat: int


def write_usage(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep a row for each answer, by column of `usage`, and add it to the sums of its day."""
    connection.execute(insert(usage), rows)
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        group = {name: row[name] for name in ("account_id", "credential_id", "model")} | {"day": day_of(row["at"])}
        added = sums.setdefault(tuple(group.values()), group | dict.fromkeys(_ADDED, 0))
        added["requests"] += 1
        for name in _COUNTED:
            added[name] += row[name]
    connection.execute(_add(connection.dialect.name), list(sums.values()))


def usage_of(
    connection: Connection,
    account_id: str,
    *,
    first: date,
    last: date,
    by: AbstractSet[Dimension],
    limit: int = SUMS_AT_ONCE,
    models: Sequence[str] | None = None,
) -> list[UsageSum]:
    """What the account of this id used from the first to the last day (UTC, both included), in one sum for each group;
    of these models alone, where some are given.

    The newest day comes first, and of a day what cost most. At most `limit` sums, so the rest of many is left out.
    """
    # In the order of the dimensions, so that the same question is always the same statement.
    groups = [column for name, column in _COLUMNS.items() if name in by]
    cost = func.sum(usage_days.c.cost_msat)
    order = [usage_days.c.day.desc()] if "day" in by else []
    query = (
        select(*groups, *(func.sum(usage_days.c[name]).label(name) for name in _ADDED))
        .where(
            usage_days.c.account_id == account_id,
            usage_days.c.day.between(_number(first), _number(last)),
            true() if models is None else usage_days.c.model.in_(models),
        )
        .group_by(*groups)
        .order_by(*order, cost.desc(), *groups)
        .limit(limit)
    )
    # Without any group there is one row even where there is nothing to sum up, and its sums are NULL.
    rows = [row for row in connection.execute(query).mappings() if row["requests"] is not None]
    return [_sum(row) for row in rows]


def last_answers(connection: Connection, credential_ids: Collection[str]) -> dict[str, date]:
    """The day (UTC) on which each of these credentials got its last answer; those that never got one are not in it.

    By the sums, which stay: the rows of single answers know the second, but would all have to be looked through.
    """
    # By account, since that is how the sums lie: once through those of each, however many credentials it has.
    owners = select(credentials.c.account_id).where(credentials.c.id.in_(list(credential_ids)))
    query = (
        select(usage_days.c.credential_id, func.max(usage_days.c.day))
        .where(usage_days.c.account_id.in_(owners), usage_days.c.credential_id.in_(list(credential_ids)))
        .group_by(usage_days.c.credential_id)
    )
    return {credential: _date(day) for credential, day in connection.execute(query)}


def usual_cost(connection: Connection, account_id: str) -> int | None:
    """What an answer cost the account of this id lately, in msat, on average, rounded up; None where it paid for none.
    Those that were free do not count."""
    query = select(usage.c.cost_msat).where(usage.c.account_id == account_id).order_by(usage.c.at.desc()).limit(LATELY)
    paid = [cost for cost in connection.scalars(query) if cost]
    return -(-sum(paid) // len(paid)) if paid else None


def prune_usage(connection: Connection, *, before: int, limit: int) -> int:
    """Remove up to `limit` rows of answers given before `before` (microseconds since 1970), the oldest first.

    Returns how many it removed. The sums by day stay as they are.
    """
    return connection.execute(_remove_old, {"before": before, "most": limit}).rowcount


def _number(day: date) -> int:
    return (day - _FIRST_DAY).days


def _date(number: int) -> date:
    return _FIRST_DAY + timedelta(days=number)


def _sum(row: Any) -> UsageSum:
    day = row.get("day")
    return UsageSum(
        None if day is None else _date(day),
        row.get("model"),
        row.get("credential_id"),
        *(int(row[name]) for name in _ADDED),
    )
