"""The rules of budgets, in memory: what they leave of a wallet, and what holds and charges do to them. No I/O here."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define

from lightphon_core.ledger.commands import OverBudget
from lightphon_core.ledger.periods import PERIODS, Period, began, ends


@define
class Allowance:
    """One budget of a credential: `amount` for the period that began at `since`.

    `spent` of it is gone; `held` is set aside by its holds, whenever they were taken. `changed` says whether the
    database has yet to hear of it.
    """

    credential: str
    period: Period
    amount: int
    spent: int
    held: int
    since: int
    changed: bool = False

    @property
    def unspent(self) -> int:
        """What is left of it, what is held included. Of one that was lowered more may have been spent than it is."""
        return max(0, self.amount - self.spent)

    @property
    def left(self) -> int:
        """What may still be set aside."""
        return max(0, self.unspent - self.held)

    def begin_anew(self, now: int) -> None:
        """Forget what was spent in a period that is over. What is held stays so: it will be spent in this one.

        A clock that goes back a little gives nothing back. What was spent by one that was further ahead than the next
        period counts in this one, and not until that time has come.
        """
        since, next_one = began(self.period, now), ends(self.period, now)
        if self.since < since:
            self.since, self.spent, self.changed = since, 0, True
        elif next_one is not None and self.since > next_one:
            self.since, self.changed = since, True

    def set_aside(self, amount: int) -> None:
        """A hold was taken, or grew by `amount`."""
        self.held += amount
        self.changed = True

    def settle(self, held: int, charged: int) -> None:
        """A hold of `held` ended, and `charged` of it was spent."""
        # Never below 0, which the database refuses: a budget that is wrong must not keep anybody from being paid.
        self.held = max(0, self.held - held)
        self.spent += charged
        self.changed = True


def capped(allowances: Sequence[Allowance], amount: int) -> int:
    """As much of `amount` as every one of them leaves."""
    return min([amount, *(allowance.left for allowance in allowances)])


def require(allowances: Sequence[Allowance], needed: int, now: int) -> None:
    """Raise `OverBudget` unless every one of them leaves as much as is needed.

    Where several do not, the error names the one that does so for longest.
    """
    short = [allowance for allowance in allowances if allowance.left < needed]
    if short:
        worst = max(short, key=lambda each: (each.unspent < needed, PERIODS.index(each.period)))
        raise OverBudget(
            period=worst.period,
            amount=worst.amount,
            needed=needed,
            left=worst.left,
            held=worst.unspent - worst.left,
            resets_at=ends(worst.period, now),
        )
