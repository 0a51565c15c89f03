"""A page of an account's statement: its lines, with what they refer to, in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.errors import NotFound
from lightphon_core.ledger import chart
from lightphon_core.ledger.background import backgrounds
from lightphon_core.ledger.statement import Line, statement
from lightphon_core.payments.deposits import store as deposit_store
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.payouts import store as payout_store
from lightphon_core.payments.payouts.payout import Payout
from lightphon_core.storage.engine import Connection
from lightphon_core.web.pages.wallet.explanations import Known, Told, explain

LINES: Final = 25
"""On one page."""


def read_statement(connection: Connection, account: str, before: str | None) -> Sequence[Told]:
    """A page of lines in words, and one more where there are more. Raises `NotFound`."""
    lines = statement(connection, chart.wallets(account), limit=LINES + 1, before=before)
    behind = backgrounds(connection, account, lines)
    known = Known(
        {each.id: each.terms.name or each.hint for each in list_credentials(connection, account_id=account)},
        _deposits_of(connection, account, lines),
        _payouts_of(connection, account, lines),
    )
    return [explain(line, behind[line.id], known) for line in lines]


def _deposits_of(connection: Connection, account: str, lines: Sequence[Line]) -> dict[str, Deposit]:
    """The account's own of those that are named."""
    found = {}
    for line in lines:
        if not line.note.startswith("dep_"):
            continue
        with suppress(NotFound):
            found[line.note] = deposit_store.get_deposit(connection, line.note, account=account)
    return found


def _payouts_of(connection: Connection, account: str, lines: Sequence[Line]) -> dict[str, Payout]:
    found = {}
    for line in lines:
        if not line.note.startswith("pay_"):
            continue
        with suppress(NotFound):
            found[line.note] = payout_store.get_payout(connection, line.note, account=account)
    return found
