"""What is taken from whom for a debt, and given back where too much was taken. No I/O here.

A debt is a balance of `receivable:<account>` below 0. It is collected in this order: from the account's card money,
from the rest of its wallet, and then from what others have earned from its card money and may not use yet, the latest
first. What is on hold stays where it is. What cannot be collected stays owed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from attrs import frozen

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Posting

COLLECTING_ORDER = (Origin.CARD, Origin.GRANTED, Origin.LIGHTNING, Origin.EARNED)

Share = tuple[str, int]
"""An account of the ledger, and what of its money is meant, in msat."""


@frozen
class History:
    """What the postings of one `receivable:<account>` come to. `collected` is what was taken for it and not given back,
    in the order in which it would be given back. `clawed_back` is what providers took back, less what they returned."""

    collected: Sequence[Share]
    clawed_back: int

    @property
    def recall(self) -> int:
        """The most that others may have to answer for: no debt but that of payments that were taken back."""
        return max(0, self.clawed_back - sum(amount for _, amount in self.collected))


def history(account: str, postings: Iterable[Posting]) -> History:
    """`postings` are all that touch the account's receivable, the latest first."""
    owed = chart.receivable(account)
    others, own, clawed_back = [], Counter[str](), 0
    for posting in postings:
        taken = posting.credit == owed
        name, amount = (posting.debit, posting.amount) if taken else (posting.credit, -posting.amount)
        if name.startswith(chart.clearing("")):
            clawed_back -= amount
        elif name.startswith(chart.EARNINGS):
            others.append((name, amount))
        elif name.startswith(chart.WALLET):
            own[name] += amount
    net = Counter[str]()
    for name, amount in others:
        net[name] += amount
    wallets = [chart.wallet(account, origin) for origin in reversed(COLLECTING_ORDER)]
    collected = [*_what_stayed(others, net), *((name, own[name]) for name in wallets)]
    return History(collected, clawed_back)


def recallable(account: str, postings: Iterable[Posting], pending: Mapping[str, int]) -> list[Share]:
    """What others may not use yet of what they earned from the account's card money, the latest first.

    `postings` are those of the time for which such earnings wait, the latest first: what the account has paid, what was
    taken back for its debts, and what was returned of that. `pending` is what each has pending in all.
    """
    owed = chart.receivable(account)
    moves = [
        (posting.debit, -posting.amount) if posting.credit == owed else (posting.credit, posting.amount)
        for posting in postings
    ]
    return list(_what_stayed(moves, pending))


def collecting(account: str, owed: int, free: Sequence[Share], others: Sequence[Share], recall: int) -> list[Posting]:
    """The postings that collect what there is of `owed`: what is `free` of the wallet, and up to `recall` of what
    `others` have earned and what the wallet did not cover."""
    own = list(_parts(owed, free))
    covered = sum(amount for _, amount in own)
    shares = [*own, *_parts(min(owed, recall) - covered, others)]
    return [Posting(name, chart.receivable(account), amount) for name, amount in _joined(shares)]


def returning(account: str, surplus: int, collected: Sequence[Share]) -> list[Posting]:
    """The postings that give back `surplus` of what was collected."""
    return [Posting(chart.receivable(account), name, amount) for name, amount in _joined(_parts(surplus, collected))]


def _parts(amount: int, shares: Iterable[Share]) -> Iterator[Share]:
    """`amount`, or what there is, from one after the other."""
    for name, there in shares:
        if (part := min(amount, there)) > 0:
            yield name, part
            amount -= part


def _joined(shares: Iterable[Share]) -> Iterator[Share]:
    """Those of one account that follow each other, as one."""
    for name, group in groupby(shares, key=itemgetter(0)):
        yield name, sum(amount for _, amount in group)


def _what_stayed(moves: Iterable[Share], most: Mapping[str, int]) -> Iterator[Share]:
    """Of what came to accounts, the latest first, what has not left again (below 0): what came last leaves first. No
    more than `most` of each, whatever order the clock gave to what happened at once."""
    gone, left = Counter[str](), dict(most)
    for name, amount in moves:
        if amount < 0:
            gone[name] -= amount
            continue
        used = min(amount, gone[name])
        gone[name] -= used
        part = min(amount - used, left.get(name, 0))
        if part > 0:
            left[name] -= part
            yield name, part
