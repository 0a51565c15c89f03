"""Between the books in memory and the tables: load the page that a batch of commands needs, write back what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from lightphon_core.ledger import chart
from lightphon_core.ledger.allowance import Allowance
from lightphon_core.ledger.book import Page
from lightphon_core.ledger.chart import SPENDING_ORDER
from lightphon_core.ledger.commands import Command, LedgerError, ReapExpired
from lightphon_core.ledger.node_usage import write_node_usage
from lightphon_core.ledger.owners import existing
from lightphon_core.ledger.periods import Period
from lightphon_core.ledger.records import Balance, Entry, EntryKey, Hold
from lightphon_core.ledger.scope import accounts_of, credentials_of, external_ids_of, holds_of, people_of
from lightphon_core.ledger.usage import write_usage
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.schema import balances, budgets, entries, holds, postings

REAPED_AT_ONCE = 500
Clock = Callable[[Connection], int]
"""Microseconds since 1970."""
_ORIGINS = [str(origin) for origin in SPENDING_ORDER]
_select_balances = select(balances.c.account, balances.c.amount, balances.c.held).where(
    balances.c.account.in_(bindparam("names", expanding=True))
)
_select_holds = select(holds).where(holds.c.id.in_(bindparam("ids", expanding=True)))
_select_expired = select(holds).where(holds.c.lease_until < bindparam("now")).limit(REAPED_AT_ONCE)
_select_entries = select(entries.c.kind, entries.c.source, entries.c.external_id, entries.c.id).where(
    entries.c.external_id.in_(bindparam("external_ids", expanding=True))
)
_select_budgets = select(budgets).where(budgets.c.credential_id.in_(bindparam("ids", expanding=True)))
_update_balance = (
    update(balances)
    .where(balances.c.account == bindparam("b_account"))
    .values(amount=bindparam("b_amount"), held=bindparam("b_held"))
)
_update_hold = (
    update(holds)
    .where(holds.c.id == bindparam("b_id"))
    .values(
        {origin: bindparam(f"b_{origin}") for origin in _ORIGINS}
        | {"checkpoint": bindparam("b_checkpoint"), "lease_until": bindparam("b_lease_until")}
    )
)
_update_budget = (
    update(budgets)
    .where(budgets.c.credential_id == bindparam("b_credential_id"), budgets.c.period == bindparam("b_period"))
    .values(spent=bindparam("b_spent"), held=bindparam("b_held"), since=bindparam("b_since"))
)
_delete_hold = delete(holds).where(holds.c.id == bindparam("b_id"))


def carry_out(connection: Connection, commands: Sequence[Command], *, clock: Clock = database_now) -> list[Any]:
    """Carry out a batch, in order, in the connection's transaction. Each answer is what the command is answered with,
    or the `LedgerError` it raised; one that raised has changed nothing.

    The transaction must be the only one that writes, as those of `Database` are: what is loaded here must still be so
    when it is written back.
    """
    page, known = _load(connection, commands, clock(connection))
    answers: list[Any] = []
    for command in commands:
        try:
            answers.append(page.carry_out(command))
        except LedgerError as error:
            answers.append(error)
    _write(connection, page, known)
    return answers


def _load(connection: Connection, commands: Sequence[Command], now: int) -> tuple[Page, set[str]]:
    """The page, and which of its accounts have a row already."""
    named = holds_of(commands)
    found = [_hold(row) for row in connection.execute(_select_holds, {"ids": list(named)})] if named else []
    if any(isinstance(command, ReapExpired) for command in commands):
        found += [_hold(row) for row in connection.execute(_select_expired, {"now": now})]
    held = {hold.id: hold for hold in found}
    names = accounts_of(commands, held)
    rows = connection.execute(_select_balances, {"names": list(names)}) if names else ()
    known = {row.account: Balance(row.amount, row.held) for row in rows}
    written: dict[EntryKey, str] = {}
    if external_ids := external_ids_of(commands):
        for row in connection.execute(_select_entries, {"external_ids": list(external_ids)}):
            written[row.kind, row.source, row.external_id] = row.id
    allowances = _allowances(connection, credentials_of(commands, held), now)
    people = existing(connection, people_of(commands))
    return Page(now, dict(known), held, written, allowances, people), set(known)


def _allowances(connection: Connection, credentials: set[str], now: int) -> dict[str | None, list[Allowance]]:
    """The budgets of these credentials, as they stand now."""
    found: dict[str | None, list[Allowance]] = {}
    for row in connection.execute(_select_budgets, {"ids": list(credentials)}) if credentials else ():
        allowance = Allowance(row.credential_id, Period(row.period), row.amount, row.spent, row.held, row.since)
        allowance.begin_anew(now)
        found.setdefault(allowance.credential, []).append(allowance)
    return found


def _write(connection: Connection, page: Page, known: set[str]) -> None:
    if page.new_entries:
        connection.execute(insert(entries), [_entry_row(entry, page.now) for entry in page.new_entries])
        connection.execute(insert(postings), [row for entry in page.new_entries for row in _rows(entry, page.now)])
    new = sorted(page.touched - known)
    if new:
        connection.execute(
            insert(balances),
            [
                {
                    "account": name,
                    "amount": page.balances[name].amount,
                    "held": page.balances[name].held,
                    "may_be_negative": chart.may_be_negative(name),
                }
                for name in new
            ],
        )
    changed = sorted(page.touched & known)
    if changed:
        rows = ((name, page.balances[name]) for name in changed)
        connection.execute(
            _update_balance, [{"b_account": name, "b_amount": b.amount, "b_held": b.held} for name, b in rows]
        )
    # Before new ones are added, since one that was released may be taken anew in the same batch.
    if page.ended_holds:
        connection.execute(_delete_hold, [{"b_id": hold} for hold in page.ended_holds])
    if page.new_holds:
        connection.execute(insert(holds), [_hold_row(hold) for hold in page.new_holds.values()])
    if page.changed_holds:
        changes = [{f"b_{name}": value for name, value in _hold_row(h).items()} for h in page.changed_holds.values()]
        connection.execute(_update_hold, changes)
    spent = [allowance for each in page.allowances.values() for allowance in each if allowance.changed]
    if spent:
        connection.execute(_update_budget, [_budget_changes(allowance) for allowance in spent])
    if page.usage:
        write_usage(connection, page.usage)
        write_node_usage(connection, page.usage)


def _entry_row(entry: Entry, now: int) -> dict[str, Any]:
    kind, source, external_id = entry.key
    return {
        "id": entry.id,
        "kind": kind,
        "source": source,
        "external_id": external_id,
        "note": entry.note,
        "at": now,
    }


def _rows(entry: Entry, now: int) -> list[dict[str, Any]]:
    return [
        {
            "entry_id": entry.id,
            "place": place,
            "debit": posting.debit,
            "credit": posting.credit,
            "amount": posting.amount,
            "at": now,
        }
        for place, posting in enumerate(entry.postings)
    ]


def _budget_changes(allowance: Allowance) -> dict[str, Any]:
    return {
        "b_credential_id": allowance.credential,
        "b_period": allowance.period.value,
        "b_spent": allowance.spent,
        "b_held": allowance.held,
        "b_since": allowance.since,
    }


def _hold(row: Any) -> Hold:
    return Hold(
        row.id,
        row.account_id,
        [row.granted, row.card, row.lightning, row.earned],
        row.payee,
        row.house_bps,
        row.lease_until,
        row.created_at,
        row.checkpoint,
        row.note,
        row.credential_id,
    )


def _hold_row(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "account_id": hold.account,
        **dict(zip(_ORIGINS, hold.parts, strict=True)),
        "payee": hold.payee,
        "house_bps": hold.house_bps,
        "checkpoint": hold.checkpoint,
        "lease_until": hold.lease_until,
        "created_at": hold.created_at,
        "note": hold.note,
        "credential_id": hold.credential,
    }
