"""Whether the books are right: balances are rebuilt from the postings, holds are summed up, and both are compared, with
what budgets say is held too."""

from __future__ import annotations

from collections import Counter

from attrs import frozen
from sqlalchemy import Connection, delete, insert, or_, select, update

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import SPENDING_ORDER
from lightphon_core.storage.schema import balances, budgets, entries, holds, postings


@frozen
class Expected:
    """What must be, in msat: `amount` by the postings and `held` by the holds, both by account, and `by_credential`
    what the holds of each credential set aside."""

    amount: Counter[str]
    held: Counter[str]
    by_credential: Counter[str | None]


def rebuild(connection: Connection) -> Expected:
    """Sum up the journal and the holds. Exact at any size: Python does the sum."""
    expected = Expected(Counter(), Counter(), Counter())
    query = select(postings.c.debit, postings.c.credit, postings.c.amount)
    for debit, credit, amount in connection.execute(query, execution_options={"yield_per": 10_000}):
        expected.amount[debit] -= amount
        expected.amount[credit] += amount
    for hold in connection.execute(select(holds)):
        for origin in SPENDING_ORDER:
            if part := getattr(hold, origin):
                expected.held[chart.wallet(hold.account_id, origin)] += part
                expected.by_credential[hold.credential_id] += part
    return expected


def verify(connection: Connection) -> list[str]:
    """What is wrong, one line a problem, each with the account's name; empty where the books are right.

    `connection` sees one snapshot, as those of `Database` do.
    """
    expected = rebuild(connection)
    stored = {row.account: row for row in connection.execute(select(balances))}
    problems = []
    for name in sorted(expected.amount.keys() | expected.held.keys() | stored.keys()):
        row = stored.get(name)
        amount, held = (row.amount, row.held) if row is not None else (0, 0)
        if amount != expected.amount[name]:
            problems.append(f"{name}: the balance is {amount} msat, but its postings sum to {expected.amount[name]}")
        if held != expected.held[name]:
            problems.append(f"{name}: {held} msat are marked as held, but its holds sum to {expected.held[name]}")
        if not chart.may_be_negative(name) and amount < max(held, 0):
            problems.append(f"{name}: the balance of {amount} msat does not cover the {held} msat that are held")
        if row is not None and row.may_be_negative != chart.may_be_negative(name):
            problems.append(f"{name}: the database {'lets' if row.may_be_negative else 'does not let'} it be negative")
    for row in connection.execute(select(budgets).order_by(budgets.c.credential_id, budgets.c.period)):
        held = expected.by_credential[row.credential_id]
        if row.held != held:
            problems.append(
                f"{row.credential_id}: {row.held} msat of its {row.period} budget are marked as held, "
                f"but its holds sum to {held}"
            )
    return problems + _journal_problems(connection)


def correct(connection: Connection) -> list[str]:
    """Write the balances anew, from the postings and the holds, and what is held of budgets. Returns what was wrong, as
    `verify` does."""
    problems = verify(connection)
    expected = rebuild(connection)
    connection.execute(delete(balances))
    names = sorted(expected.amount.keys() | expected.held.keys())
    if names:
        connection.execute(
            insert(balances),
            [
                {
                    "account": name,
                    "amount": expected.amount[name],
                    "held": expected.held[name],
                    "may_be_negative": chart.may_be_negative(name),
                }
                for name in names
            ],
        )
    for credential in connection.scalars(select(budgets.c.credential_id).distinct()).all():
        held = expected.by_credential[credential]
        connection.execute(update(budgets).where(budgets.c.credential_id == credential).values(held=held))
    return problems


def _journal_problems(connection: Connection) -> list[str]:
    """Entries that move nothing, and postings that the tables' own rules forbid."""
    empty = select(entries.c.id).where(~select(postings.c.place).where(postings.c.entry_id == entries.c.id).exists())
    problems = [f"journal: the entry {entry} has no postings" for entry in connection.scalars(empty)]
    strange = select(postings).where(or_(postings.c.amount <= 0, postings.c.debit == postings.c.credit))
    problems += [
        f"{row.debit}: the entry {row.entry_id} moves {row.amount} msat to {row.credit}"
        for row in connection.execute(strange)
    ]
    lost = select(postings.c.entry_id, postings.c.debit).where(
        ~select(entries.c.id).where(entries.c.id == postings.c.entry_id).exists()
    )
    problems += [f"{row.debit}: a posting belongs to no entry ({row.entry_id})" for row in connection.execute(lost)]
    return problems
