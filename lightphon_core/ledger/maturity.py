"""Earnings become the owner's to use, some time after they were earned."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, bindparam, func, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posted, Posting
from lightphon_core.ledger.store import Clock, carry_out
from lightphon_core.settings import LedgerSettings
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.schema import balances, postings

MATURITY = "maturity"
AT_ONCE = 500

_SPLIT = 10**9
_pending = select(balances.c.account, balances.c.amount).where(
    balances.c.account.startswith(chart.EARNINGS), balances.c.amount > 0
)
# Summed up in two parts, since SQLite's sums are of 64 bits.
_newer = select(
    func.coalesce(func.sum(postings.c.amount // _SPLIT), 0), func.coalesce(func.sum(postings.c.amount % _SPLIT), 0)
).where(postings.c.credit == bindparam("name"), postings.c.at > bindparam("cutoff"))


def mature(connection: Connection, settings: LedgerSettings, *, clock: Clock = database_now) -> int:
    """Move what has waited long enough from pending earnings to wallets. Returns the number of entries written.

    What was taken back meanwhile is taken from the oldest earnings. `connection` is in a transaction of `Database`, so
    that nobody else, on any replica, matures the same money: for `Database.write`.
    """
    now = clock(connection)
    commands = []
    for name, amount in connection.execute(_pending).all():
        owner, origin = chart.earner(name)
        newer = _newer_than(connection, name, now - _delay_us(settings, origin))
        # The balance is all credits less all debits; less the new credits, it is the old ones less all debits.
        if amount > newer:
            posting = Posting(name, chart.wallet(owner, Origin.EARNED), amount - newer)
            commands.append(Post(MATURITY, "gateway", f"{name}:{secrets.token_hex(12)}", (posting,)))
    written = 0
    for start in range(0, len(commands), AT_ONCE):
        answers = carry_out(connection, commands[start : start + AT_ONCE], clock=clock)
        written += sum(isinstance(answer, Posted) for answer in answers)
    return written


def _delay_us(settings: LedgerSettings, origin: Origin) -> int:
    seconds = settings.card_earnings_delay_s if origin is Origin.CARD else settings.earnings_delay_s
    return seconds * 1_000_000


def _newer_than(connection: Connection, name: str, cutoff: int) -> int:
    high, low = connection.execute(_newer, {"name": name, "cutoff": cutoff}).one()
    return int(high) * _SPLIT + int(low)
