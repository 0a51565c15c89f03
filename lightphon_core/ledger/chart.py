"""The chart of accounts: how the ledger's accounts are named, and which of them may be negative.

A balance is what was credited less what was debited. Wallets and earnings are what the house owes to people.

    wallet:<account>:<origin>     a user's money, by where it came from
    earnings:<account>:<origin>   what a node's owner has earned but may not use yet, by the origin of what was spent
    receivable:<account>          what a user owes after a reversal
    house                         the house's share
    adjustments                   the other side of credits and debits by hand
    clearing:<provider>           money at a payment provider
    fees:routing, fees:processor  what payments cost
"""

from enum import StrEnum


class Origin(StrEnum):
    """Where the money in a wallet came from. It is spent in this order: what can never be withdrawn goes first."""

    GRANTED = "granted"
    CARD = "card"
    LIGHTNING = "lightning"
    EARNED = "earned"


SPENDING_ORDER = tuple(Origin)
HOUSE = "house"
ADJUSTMENTS = "adjustments"
HOUSE_ACCOUNTS = (HOUSE, ADJUSTMENTS)
"""Those whose names have no parts."""

EARNINGS = "earnings:"
"""What the names of pending earnings begin with."""

_NEVER_NEGATIVE = ("wallet:", EARNINGS)


def wallet(account: str, origin: Origin) -> str:
    """A user's money of one origin."""
    return f"wallet:{account}:{origin}"


def wallets(account: str) -> list[str]:
    """All of a user's money, in the order in which it is spent."""
    return [wallet(account, origin) for origin in SPENDING_ORDER]


def earnings(account: str, origin: Origin) -> str:
    """A node owner's pending earnings from money of one origin."""
    return f"{EARNINGS}{account}:{origin}"


def earner(name: str) -> tuple[str, Origin]:
    """Whose earnings an account holds, and from which money: `earnings` the other way round."""
    account, _, origin = name.removeprefix(EARNINGS).rpartition(":")
    return account, Origin(origin)


def receivable(account: str) -> str:
    """What a user owes."""
    return f"receivable:{account}"


def personal(account: str) -> list[str]:
    """Every account of the ledger that is about one user."""
    return [*wallets(account), *(earnings(account, origin) for origin in SPENDING_ORDER), receivable(account)]


def may_be_negative(name: str) -> bool:
    """Whether an account may be overdrawn."""
    return not name.startswith(_NEVER_NEGATIVE)
