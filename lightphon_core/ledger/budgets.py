"""What the owner of a key lets it spend: set, and looked at. `allowance.py` has the rules that keep it to that."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import frozen
from sqlalchemy import Connection, delete, func, insert, select, update

from lightphon_core.errors import InvalidRequest, PermissionDenied
from lightphon_core.ledger.chart import SPENDING_ORDER
from lightphon_core.ledger.periods import PERIODS, Period, began, day_of, ends
from lightphon_core.ledger.store import Clock
from lightphon_core.money import msat
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.schema import budgets, credentials, holds, usage_days

__all__ = ["Budget", "Period", "budgets_of", "check_unbound", "set_budgets"]


@frozen
class Budget:
    """`amount` msat may be spent in each period. `spent` of it is gone in this one; `held` is set aside.

    It begins anew at `resets_at`, in microseconds since 1970, UTC; None: never.
    """

    period: Period
    amount: int
    spent: int
    held: int
    resets_at: int | None


def set_budgets(
    connection: Connection, credential_id: str, amounts: Mapping[Period, int], *, clock: Clock = database_now
) -> None:
    """Let a credential spend these amounts and no others: {} is no limit, and 0 is nothing at all.

    What was spent counts on, for a period that had no budget too. `connection` is in a transaction of `Database`, so
    that no hold is taken meanwhile.

    Raises:
        InvalidRequest: there is no such credential.
        MoneyError: an amount is none.
    """
    wanted = {period: msat(amount) for period, amount in amounts.items()}
    owner = connection.scalar(select(credentials.c.account_id).where(credentials.c.id == credential_id))
    if owner is None:
        raise InvalidRequest(f"There is no credential with the id {credential_id!r}.", param="id", code="not_found")
    now = clock(connection)
    mine = budgets.c.credential_id == credential_id
    had = {Period(period) for period in connection.scalars(select(budgets.c.period).where(mine))}
    for period in had - wanted.keys():
        connection.execute(delete(budgets).where(mine, budgets.c.period == period.value))
    for period in had & wanted.keys():
        connection.execute(update(budgets).where(mine, budgets.c.period == period.value).values(amount=wanted[period]))
    if new := wanted.keys() - had:
        held = _held_by(connection, credential_id)
        rows = [
            {
                "credential_id": credential_id,
                "period": period.value,
                "amount": wanted[period],
                "spent": _spent_since(connection, owner, credential_id, began(period, now)),
                "held": held,
                "since": began(period, now),
            }
            for period in sorted(new, key=PERIODS.index)
        ]
        connection.execute(insert(budgets), rows)


def budgets_of(
    connection: Connection, credential_ids: Collection[str], *, clock: Clock = database_now
) -> dict[str, list[Budget]]:
    """The budgets of each of these credentials, the shortest period first; an empty list for one that has none."""
    now = clock(connection)
    found: dict[str, list[Budget]] = {credential: [] for credential in credential_ids}
    query = select(budgets).where(budgets.c.credential_id.in_(list(found)))
    for row in connection.execute(query):
        period = Period(row.period)
        spent = row.spent if row.since >= began(period, now) else 0
        found[row.credential_id].append(Budget(period, row.amount, spent, row.held, ends(period, now)))
    for each in found.values():
        each.sort(key=lambda budget: PERIODS.index(budget.period))
    return found


def check_unbound(connection: Connection, credential_id: str, what: str) -> None:
    """Pass on who has no budget: a key that may only spend so much would get around it by `what` it asks for.

    Raises:
        PermissionDenied: it has one.
    """
    mine = select(budgets.c.period).where(budgets.c.credential_id == credential_id)
    if connection.execute(mine).first() is not None:
        raise PermissionDenied(
            f"This key has a budget of its own, so it cannot {what}. Use one that has none, or log in."
        )


def _spent_since(connection: Connection, owner: str, credential_id: str, since: int) -> int:
    query = select(func.coalesce(func.sum(usage_days.c.cost_msat), 0)).where(
        usage_days.c.account_id == owner,
        usage_days.c.day >= day_of(since),
        usage_days.c.credential_id == credential_id,
    )
    return int(connection.execute(query).scalar_one())


def _held_by(connection: Connection, credential_id: str) -> int:
    parts = [func.coalesce(func.sum(holds.c[origin]), 0) for origin in SPENDING_ORDER]
    row = connection.execute(select(*parts).where(holds.c.credential_id == credential_id)).one()
    return sum(int(part) for part in row)
