"""Debts are settled from the books: collected from whatever comes free, and given back where they were none.

For `Database.write`, whose transactions take turns. `since`, in microseconds since 1970, is when the time began for
which earnings from card money wait: what was earned before is its owner's.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from lightphon_core.ledger import chart, debts
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posted, Posting
from lightphon_core.ledger.owners import to_owners
from lightphon_core.ledger.statement import balances_of
from lightphon_core.ledger.store import Clock, carry_out
from lightphon_core.settings import LedgerSettings
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.schema import balances, postings

COLLECTION = "collection"

_debit, _credit = postings.c.debit, postings.c.credit
_outstanding = select(balances.c.account).where(balances.c.account.startswith(chart.RECEIVABLE), balances.c.amount != 0)


def owed_by(connection: Connection, account: str) -> int:
    """What the account of this id owes, in msat."""
    name = chart.receivable(account)
    amount, _ = balances_of(connection, [name]).get(name, (0, 0))
    return max(0, -amount)


def settling(connection: Connection, account: str, incoming: Sequence[Posting], *, since: int) -> tuple[Posting, ...]:
    """What is to be posted together with `incoming`, so that the account owes as little as can be: what is collected,
    or given back."""
    owed = chart.receivable(account)
    own = [chart.wallet(account, origin) for origin in debts.COLLECTING_ORDER]
    found = balances_of(connection, [owed, *own])
    free = Counter({name: amount - held for name, (amount, held) in found.items()})
    for posting in incoming:
        free[posting.debit] -= posting.amount
        free[posting.credit] += posting.amount
    if free[owed] == 0:
        return ()
    concerned = [posting for posting in incoming if owed in (posting.debit, posting.credit)]
    known = debts.history(account, [*concerned, *_latest(connection, or_(_debit == owed, _credit == owed))])
    if free[owed] > 0:
        return to_owners(connection, debts.returning(account, free[owed], known.collected))
    others: list[debts.Share] = []
    if known.recall > 0 and sum(free[name] for name in own) < -free[owed]:
        others = _recallable(connection, account, since)
    return tuple(debts.collecting(account, -free[owed], [(name, free[name]) for name in own], others, known.recall))


def window_began(now: int, card_earnings_delay_s: int) -> int:
    """`since`, as above."""
    return now - card_earnings_delay_s * 1_000_000


def collect(connection: Connection, settings: LedgerSettings, *, clock: Clock = database_now) -> int:
    """Collect what has come free for each debt: holds that ended, earnings that matured. Returns the number of entries
    written."""
    since = window_began(clock(connection), settings.card_earnings_delay_s)
    written = 0
    for name in connection.scalars(_outstanding).all():
        moves = settling(connection, chart.debtor(name), (), since=since)
        if moves:
            # One by one: what one debt takes from earnings another cannot.
            command = Post(COLLECTION, "gateway", f"{name}:{secrets.token_hex(12)}", moves)
            written += isinstance(carry_out(connection, [command], clock=clock)[0], Posted)
    return written


def _recallable(connection: Connection, account: str, since: int) -> list[debts.Share]:
    owed, card = chart.receivable(account), chart.wallet(account, Origin.CARD)
    flows = or_(
        and_(_debit.in_((card, owed)), _credit.startswith(chart.EARNINGS)),
        and_(_credit == owed, _debit.startswith(chart.EARNINGS)),
    )
    moved = _latest(connection, and_(flows, postings.c.at > since))
    payees = {posting.credit for posting in moved if posting.credit != owed}
    pending = {name: amount for name, (amount, _) in balances_of(connection, sorted(payees)).items()}
    return debts.recallable(account, moved, pending)


def _latest(connection: Connection, which: ColumnElement[bool]) -> list[Posting]:
    """These postings, the latest first."""
    order = (postings.c.at.desc(), postings.c.entry_id.desc(), postings.c.place.desc())
    query = select(_debit, _credit, postings.c.amount).where(which).order_by(*order)
    return [Posting(*row) for row in connection.execute(query)]
