"""What the nodes of accounts served and earned, summed up by day."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from lightphon_core.ledger.periods import day_of
from lightphon_core.storage.schema import node_days

LATELY_DAYS = 30
"""Today is one of them."""

_COUNTED = ("prompt_tokens", "completion_tokens", "ms", "earned_msat")
_ADDED = ("requests", *_COUNTED)


def _upsert(statement: postgresql.Insert | sqlite.Insert) -> postgresql.Insert | sqlite.Insert:
    added = {name: node_days.c[name] + statement.excluded[name] for name in _ADDED}
    return statement.on_conflict_do_update(index_elements=list(node_days.primary_key), set_=added)


_ADD = {"sqlite": _upsert(sqlite.insert(node_days)), "postgresql": _upsert(postgresql.insert(node_days))}

_lately = (
    select(
        node_days.c.owner_id,
        node_days.c.node_id,
        *(func.sum(case((node_days.c.day == bindparam("today"), node_days.c[name]), else_=0)) for name in _ADDED),
        *(func.sum(node_days.c[name]) for name in _ADDED),
    )
    .where(
        node_days.c.owner_id.in_(bindparam("owners", expanding=True)),
        node_days.c.day.between(bindparam("first"), bindparam("today")),
    )
    .group_by(node_days.c.owner_id, node_days.c.node_id)
)


@frozen
class Served:
    """The answers of a node together; `ms` is time of inference. What it earned is before anything was taken back."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    ms: int = 0
    earned_msat: int = 0


@frozen
class NodeUsage:
    """Since midnight UTC, and in the last `LATELY_DAYS` days."""

    today: Served = Served()
    lately: Served = Served()


def write_node_usage(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows of `usage` to the sums of their nodes. An answer whose gateway died says no node, and is in none."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        if row["owner_id"] is None or not row["node_id"]:
            continue
        group = {"owner_id": row["owner_id"], "day": day_of(row["at"]), "node_id": row["node_id"]}
        added = sums.setdefault(tuple(group.values()), group | dict.fromkeys(_ADDED, 0))
        added["requests"] += 1
        for name in _COUNTED:
            added[name] += row[name]
    if sums:
        connection.execute(_ADD[connection.dialect.name], list(sums.values()))


def node_usage_of(connection: Connection, owner_ids: Collection[str], *, now: int) -> dict[tuple[str, str], NodeUsage]:
    """What the nodes of these accounts served, by the ids of account and node; `now` is in microseconds since 1970."""
    today = day_of(now)
    rows = connection.execute(_lately, {"owners": list(owner_ids), "first": today - LATELY_DAYS + 1, "today": today})
    return {
        (owner, node): NodeUsage(Served(*map(int, sums[: len(_ADDED)])), Served(*map(int, sums[len(_ADDED) :])))
        for owner, node, *sums in rows
    }
