"""Those whom money is to reach: whether they are there. Accounts can be deleted, and what is still on its way to one
must not end with nobody. For the writer's transactions, which deletions take turns with."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.commands import Posting
from lightphon_core.storage.schema import accounts

_select_existing = select(accounts.c.id).where(accounts.c.id.in_(bindparam("ids", expanding=True)))


def existing(connection: Connection, ids: Collection[str]) -> set[str]:
    """Which of these are ids of accounts."""
    return set(connection.scalars(_select_existing, {"ids": list(ids)})) if ids else set()


def is_there(connection: Connection, account: str) -> bool:
    """Whether there is an account of this id."""
    return bool(existing(connection, [account]))


def to_owners(connection: Connection, postings: Sequence[Posting]) -> tuple[Posting, ...]:
    """`postings`, but what would reach the wallet or the earnings of somebody who has left reaches `adjustments`: from
    there the operator can give it to whoever turns out to be owed it."""
    owners = [chart.owner(posting.credit) for posting in postings]
    there = existing(connection, {owner for owner in owners if owner is not None})
    return tuple(
        posting if owner is None or owner in there else Posting(posting.debit, chart.ADJUSTMENTS, posting.amount)
        for posting, owner in zip(postings, owners, strict=True)
    )
