"""Which part of the books a batch of commands may touch, so that just that is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import SPENDING_ORDER
from lightphon_core.ledger.commands import Capture, Command, ExtendHold, Post, TakeHold
from lightphon_core.ledger.records import Hold


def holds_of(commands: Iterable[Command]) -> set[str]:
    """The holds that the commands name."""
    return {command.hold for command in commands if isinstance(command, (TakeHold, ExtendHold, Capture))}


def external_ids_of(commands: Iterable[Command]) -> set[str]:
    """The external ids under which the commands may write an entry, so that none is written twice."""
    ids = {command.external_id for command in commands if isinstance(command, Post)}
    return ids | {command.hold for command in commands if isinstance(command, TakeHold)}


def credentials_of(commands: Iterable[Command], holds: Mapping[str, Hold]) -> set[str]:
    """The credentials whose budgets the commands may change. `holds` as in `accounts_of`."""
    names = {command.credential for command in commands if isinstance(command, TakeHold)}
    names |= {hold.credential for hold in holds.values()}
    return {name for name in names if name is not None}


def people_of(commands: Iterable[Command]) -> set[str]:
    """The ids of the users who must be there, or the commands are refused."""
    ids = {command.whose for command in commands if isinstance(command, Post)}
    ids |= {command.payee for command in commands if isinstance(command, TakeHold)}
    return {each for each in ids if each is not None}


def accounts_of(commands: Iterable[Command], holds: Mapping[str, Hold]) -> set[str]:
    """The ledger's accounts that the commands may change. `holds` has those that they name, and those that expired."""
    names: set[str] = set()
    for command in commands:
        if isinstance(command, Post):
            names.update(name for posting in command.postings for name in (posting.debit, posting.credit))
        elif isinstance(command, TakeHold):
            # All that its capture may touch, since that may be in the same batch.
            names.update(_of_hold(command.account, command.payee))
    for hold in holds.values():
        names.update(_of_hold(hold.account, hold.payee))
    return names


def _of_hold(account: str, payee: str | None) -> Iterator[str]:
    yield from chart.wallets(account)
    yield chart.receivable(account)
    yield chart.HOUSE
    if payee is not None:
        yield from (chart.earnings(payee, origin) for origin in SPENDING_ORDER)
