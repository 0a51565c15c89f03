"""What can be asked of the ledger, and what it answers. Frozen values; `book.py` carries them out."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, field, frozen

from lightphon_core.errors import LightPhonError
from lightphon_core.ledger.periods import Period
from lightphon_core.money import BASIS_POINTS, MoneyError, msat


def _amount(_: object, __: Attribute[int], value: object) -> None:
    msat(value)


def _positive(_: object, __: Attribute[int], value: object) -> None:
    if msat(value) == 0:
        raise MoneyError("An amount that moves is not 0.")


def _share(_: object, __: Attribute[int], value: object) -> None:
    if msat(value) > BASIS_POINTS:
        raise MoneyError(f"A share is from 0 to {BASIS_POINTS} basis points.")


@frozen
class Posting:
    """`amount` leaves the account `debit` and reaches the account `credit`. So every posting sums to zero by its shape,
    and so does every entry."""

    debit: str
    credit: str
    amount: int = field(validator=_positive)

    def __attrs_post_init__(self) -> None:
        if self.debit == self.credit:
            raise MoneyError("A posting moves money between two accounts.")


@frozen
class Post:
    """Write one entry. (kind, source, external_id) happens once; ids are the server's or a provider's, no client's.

    `whose` is the id of a user who must be there, None where that does not matter.

    Answered with `Posted`. Raises `NoSuchAccount` and `Overdrawn`.
    """

    kind: str
    source: str
    external_id: str
    postings: tuple[Posting, ...]
    note: str = ""
    whose: str | None = None


@frozen
class TakeHold:
    """Set money of `account` aside for one answer: `amount` if there is so much, else what there is, but not less than
    `minimum`. `payee` earns it (None: the house), less the house's `house_bps`. It lasts for `lease_us` microseconds.
    The budgets of `credential` cap it as the wallet does; None for what has none.

    Answered with `Taken`. Raises `NoSuchAccount` where the payee is gone, `Indebted`, `InsufficientFunds`, and
    `OverBudget` where the wallet would cover it.
    """

    hold: str
    account: str
    amount: int = field(validator=_amount)
    minimum: int = field(validator=_amount)
    payee: str | None
    house_bps: int = field(validator=_share)
    lease_us: int = field(validator=_amount)
    note: str = ""
    credential: str | None = None


@frozen
class ExtendHold:
    """Set `amount` more aside, or what wallet and budgets leave of it, and nothing for an account that owes; renew the
    lease; note that `checkpoint` has been delivered.

    Answered with the hold's amount from now on. Raises `HoldLost`.
    """

    hold: str
    amount: int = field(validator=_amount)
    checkpoint: int = field(validator=_amount)
    lease_us: int = field(validator=_amount)


@frozen
class Capture:
    """Charge `amount` of the hold, never more than it has, and release the rest. 0 charges nothing.

    `usage` is a row to keep beside it, by column. Answered with the amount charged. Raises `HoldLost`.
    """

    hold: str
    amount: int = field(validator=_amount)
    usage: dict[str, Any] | None = None


@frozen
class Count:
    """Keep a row of usage that cost nothing. Answered with 0."""

    usage: dict[str, Any]


@frozen
class ReapExpired:
    """Capture every hold whose lease has ended at its checkpoint. Answered with their number."""


Command = Post | TakeHold | ExtendHold | Capture | Count | ReapExpired


@frozen
class Taken:
    """`amount` is set aside; `left` is what could be set aside besides: what the wallet has and the budgets leave."""

    amount: int
    left: int


@frozen
class Posted:
    """The entry's id, and whether this command wrote it or an earlier one of the same external id had."""

    entry: str
    new: bool


class LedgerError(LightPhonError):
    """A command that the books do not allow. Nothing was written."""


class Overdrawn(LedgerError):
    """A posting would make an account negative that may not be."""


class NoSuchAccount(LedgerError):
    """Money would reach a user who is not there, or not any more."""

    def __init__(self) -> None:
        super().__init__("The account is gone.")


class HoldLost(LedgerError):
    """There is no such hold any more: it was captured, or its lease ended and it was reaped."""


class InsufficientFunds(LedgerError):
    """`needed` is more than is `available`, of which `held` is set aside elsewhere. All in msat."""

    def __init__(self, *, needed: int, available: int, held: int) -> None:
        super().__init__("The wallet does not cover this.")
        self.needed = needed
        self.available = available
        self.held = held


class Indebted(LedgerError):
    """The account owes `owed` msat, and gets nothing that costs before it is settled."""

    def __init__(self, owed: int) -> None:
        super().__init__("The account owes money.")
        self.owed = owed


class OverBudget(LedgerError):
    """`needed` is more than is `left` of a budget of `amount`, of which `held` is set aside elsewhere. All in msat.

    The budget begins anew at `resets_at`, in microseconds since 1970, UTC; None: never.
    """

    def __init__(
        self, *, period: Period, amount: int, needed: int, left: int, held: int, resets_at: int | None
    ) -> None:
        super().__init__("The budget does not cover this.")
        self.period = period
        self.amount = amount
        self.needed = needed
        self.left = left
        self.held = held
        self.resets_at = resets_at
