"""What is taken from whom for a debt, and given back where too much was taken. No I/O here.

A debt is a balance of `receivable:<account>` below 0. It is collected in this order: from the account's card money,
from the rest of its wallet, and then from what others have earned from its card money and may not use yet, the latest
first. What is on hold stays where it is. What cannot be collected stays owed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    net, clawed_back = Counter[str](), 0
    for posting in postings:
        taken = posting.credit == owed
        other = posting.debit if taken else posting.credit
        if other.startswith(chart.clearing("")):
            clawed_back += -posting.amount if taken else posting.amount
        elif other.startswith((chart.EARNINGS, chart.WALLET)):
            net[other] += posting.amount if taken else -posting.amount
    own = [chart.wallet(account, origin) for origin in reversed(COLLECTING_ORDER)]
    order = [*(name for name in net if name not in own), *own]
    return History([(name, net[name]) for name in order if net[name] > 0], clawed_back)


def recallable(account: str, postings: Iterable[Posting], pending: Mapping[str, int]) -> list[Share]:
    """What others may not use yet of what they earned from the account's card money, the latest first.

    `postings` are those of the time for which such earnings wait, the latest first: what the account has paid, what was
    taken back for its debts, and what was returned of that. `pending` is what each has pending in all.
    """
    owed, left = chart.receivable(account), dict(pending)
    taken, found = Counter[str](), []
    for posting in postings:
        if posting.credit == owed:
            taken[posting.debit] += posting.amount
            continue
        gone = min(posting.amount, taken[posting.credit])
        taken[posting.credit] -= gone
        part = min(posting.amount - gone, left.get(posting.credit, 0))
        if part:
            left[posting.credit] -= part
            found.append((posting.credit, part))
    return found


def collecting(account: str, owed: int, free: Sequence[Share], others: Sequence[Share], recall: int) -> list[Posting]:
    """The postings that collect what there is of `owed`: what is `free` of the wallet, and up to `recall` of what
    `others` have earned and what the wallet did not cover."""
    own = list(_parts(owed, free))
    covered = sum(amount for _, amount in own)
    shares = Counter[str]()
    for name, amount in [*own, *_parts(min(owed, recall) - covered, others)]:
        shares[name] += amount
    return [Posting(name, chart.receivable(account), amount) for name, amount in shares.items()]


def returning(account: str, surplus: int, collected: Sequence[Share]) -> list[Posting]:
    """The postings that give back `surplus` of what was collected."""
    return [Posting(chart.receivable(account), name, amount) for name, amount in _parts(surplus, collected)]


def _parts(amount: int, shares: Iterable[Share]) -> Iterator[Share]:
    """`amount`, or what there is, from one after the other."""
    for name, there in shares:
        if (part := min(amount, there)) > 0:
            yield name, part
            amount -= part
