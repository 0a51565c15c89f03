"""What an operator credits or debits by hand, and what somebody leaves behind."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, select

from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import LedgerError, Post, Posting
from lightphon_core.ledger.statement import balances_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.schema import entries, postings

ADJUSTMENT = "adjustment"
GIVEN_UP = "given_up"
LONGEST_REASON = 200


def credit(account: str, amount: int, reason: str) -> Post:
    """Give the account of this id `amount` msat: it can be spent, as granted money. Posting it raises `NoSuchAccount`.

    Raises:
        InvalidRequest: the reason is none.
        MoneyError: the amount is none.
    """
    return _adjust(account, Posting(chart.ADJUSTMENTS, chart.wallet(account, Origin.GRANTED), amount), reason)


def debit(account: str, amount: int, reason: str) -> Post:
    """Take `amount` msat of granted money back. Raises as `credit` does; posting it raises `Overdrawn` too."""
    return _adjust(account, Posting(chart.wallet(account, Origin.GRANTED), chart.ADJUSTMENTS, amount), reason)


def give_up(connection: Connection, account: str, most: int) -> int:
    """Take all that is left in the wallet of somebody who leaves, for the operator; nothing where that is more than
    `most` msat, or part of it is set aside. Returns the sum. For `Database.write`."""
    left = balances_of(connection, chart.wallets(account))
    total = sum(amount for amount, _ in left.values())
    if not 0 < total <= most or any(held for _, held in left.values()):
        return 0
    postings = tuple(Posting(name, chart.ADJUSTMENTS, amount) for name, (amount, _) in left.items() if amount)
    (answer,) = carry_out(connection, [Post(GIVEN_UP, "gateway", account, postings)])
    if isinstance(answer, LedgerError):
        raise answer
    return total


def is_same(connection: Connection, entry: str, adjustment: Post) -> bool:
    """Whether this entry is what the adjustment would write: the same posting, for the same reason."""
    query = (
        select(entries.c.note, postings.c.debit, postings.c.credit, postings.c.amount)
        .join(postings)
        .where(entries.c.id == entry)
    )
    written = [(row.note, Posting(row.debit, row.credit, row.amount)) for row in connection.execute(query)]
    return written == [(adjustment.note, posting) for posting in adjustment.postings]


def _adjust(account: str, posting: Posting, reason: str) -> Post:
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidRequest(f"A reason has 1 to {LONGEST_REASON} printable characters.", param="reason")
    return Post(ADJUSTMENT, "operator", f"adj_{secrets.token_hex(12)}", (posting,), note=reason, whose=account)
