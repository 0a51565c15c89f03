"""What stands behind the lines of a statement: the answer of a charge, and what an entry did to a debt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from attrs import define, frozen
from sqlalchemy import Connection, or_, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.book import CHARGE
from lightphon_core.ledger.statement import Line
from lightphon_core.storage.schema import entries, postings, usage


@frozen
class Answer:
    """The answer that was charged; `ms` is time of inference."""

    model: str
    credential_id: str
    prompt_tokens: int
    completion_tokens: int
    ms: int


@define
class Background:
    """`source` says who wrote the entry: a provider, the gateway or the operator. `answer` is that of a charge, for as
    long as its row is kept. `claimed` is what the account owes more by the entry, and `settled` what it owes less."""

    source: str
    answer: Answer | None = None
    claimed: int = 0
    settled: int = 0


def backgrounds(connection: Connection, account: str, lines: Sequence[Line]) -> Mapping[str, Background]:
    """What stands behind these lines of the account of this id, by the entry's id."""
    ids = [line.id for line in lines]
    found: dict[str, Background] = {}
    charges: defaultdict[str, list[Background]] = defaultdict(list)
    query = select(entries.c.id, entries.c.kind, entries.c.source, entries.c.external_id).where(entries.c.id.in_(ids))
    for row in connection.execute(query):
        found[row.id] = Background(row.source)
        if row.kind == CHARGE:
            charges[row.external_id].append(found[row.id])
    answers = select(usage).where(usage.c.id.in_(list(charges)), usage.c.account_id == account)
    for row in connection.execute(answers) if charges else ():
        for each in charges[row.id]:
            each.answer = Answer(row.model, row.credential_id, row.prompt_tokens, row.completion_tokens, row.ms)
    owed = chart.receivable(account)
    moves = select(postings).where(
        postings.c.entry_id.in_(ids), or_(postings.c.debit == owed, postings.c.credit == owed)
    )
    for row in connection.execute(moves):
        if row.credit == owed:
            found[row.entry_id].settled += row.amount
        else:
            found[row.entry_id].claimed += row.amount
    return found
