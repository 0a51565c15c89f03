"""What an account has, and how it came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import frozen
from sqlalchemy import Connection, select, true, tuple_

from lightphon_core.errors import NotFound
from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import SPENDING_ORDER, Origin
from lightphon_core.storage.schema import balances, entries, postings

LINES = 50


@frozen
class Line:
    """One entry as it changed an account: by `amount` msat, positive or negative. `at`: microseconds since 1970."""

    id: str
    at: int
    kind: str
    note: str
    amount: int


@frozen
class Wallet:
    """A user's money in msat. `pending` is earned, by the origin of what was spent, but may not be used yet. `owed` is
    to be settled first."""

    available: int
    held: int
    by_origin: dict[Origin, int]
    pending: dict[Origin, int]
    owed: int = 0


def balances_of(connection: Connection, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """What these ledger accounts hold, and what of it is set aside; those that were never used are left out."""
    query = select(balances.c.account, balances.c.amount, balances.c.held).where(balances.c.account.in_(names))
    return {name: (amount, held) for name, amount, held in connection.execute(query)}


def wallet_of(connection: Connection, account: str) -> Wallet:
    """What the account of this id has."""
    found = balances_of(connection, chart.personal(account))

    def amount(name: str) -> int:
        return found.get(name, (0, 0))[0]

    by_origin = {origin: amount(chart.wallet(account, origin)) for origin in SPENDING_ORDER}
    pending = {origin: amount(chart.earnings(account, origin)) for origin in SPENDING_ORDER}
    held = sum(found[name][1] for name in chart.wallets(account) if name in found)
    owed = max(0, -amount(chart.receivable(account)))
    return Wallet(sum(by_origin.values()) - held, held, by_origin, pending, owed)


def statement(
    connection: Connection, names: Sequence[str], *, limit: int = LINES, before: str | None = None
) -> list[Line]:
    """The latest entries that changed these ledger accounts together, the newest first; only those before the entry
    `before`, if there is one.

    An entry that only moves money between them is listed with the amount 0.

    Raises:
        NotFound: there is no entry `before`.
    """
    end = None if before is None else (_time_of(connection, before), before)
    latest = [entry for _, entry in sorted(_latest(connection, names, limit, end), reverse=True)[:limit]]
    amounts: Counter[str] = Counter()
    for row in connection.execute(select(postings).where(postings.c.entry_id.in_(latest))):
        amounts[row.entry_id] += row.amount * ((row.credit in names) - (row.debit in names))
    found = connection.execute(select(entries).where(entries.c.id.in_(latest)))
    lines = [Line(row.id, row.at, row.kind, row.note, amounts[row.id]) for row in found]
    return sorted(lines, key=lambda line: (line.at, line.id), reverse=True)


def overview(
    connection: Connection, account: str, *, limit: int = LINES, before: str | None = None
) -> tuple[Wallet, list[Line]]:
    """What the account of this id has, and the latest entries of its wallet, as `statement` has them."""
    return wallet_of(connection, account), statement(connection, chart.wallets(account), limit=limit, before=before)


def _time_of(connection: Connection, entry: str) -> int:
    at: int | None = connection.scalar(select(entries.c.at).where(entries.c.id == entry))
    if at is None:
        raise NotFound("There is no entry with this id.", param="before")
    return at


def _latest(
    connection: Connection, names: Sequence[str], limit: int, end: tuple[int, str] | None
) -> set[tuple[int, str]]:
    """Time and id of at least the latest entries. Each query reads its index from the end: the journal is long."""
    found: set[tuple[int, str]] = set()
    until = true() if end is None else tuple_(postings.c.at, postings.c.entry_id) < end
    for name in names:
        for side in (postings.c.debit, postings.c.credit):
            query = (
                select(postings.c.at, postings.c.entry_id)
                .where(side == name, until)
                .group_by(postings.c.at, postings.c.entry_id)
                .order_by(postings.c.at.desc(), postings.c.entry_id.desc())
                .limit(limit)
            )
            found.update((row.at, row.entry_id) for row in connection.execute(query))
    return found
