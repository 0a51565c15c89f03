"""The chart of accounts: how the ledger's accounts are named, and which of them may be negative.

A balance is what was credited less what was debited. Wallets and earnings are what the house owes to people.

    wallet:<account>:<origin>     a user's money, by where it came from
    earnings:<account>:<origin>   what a node's owner has earned but may not use yet, by the origin of what was spent
    payout:<account>              what has left a user's wallet for a payout that is under way
    receivable:<account>          what a user owes, below 0: after a reversal, or a restore
    house                         the house's share
    adjustments                   the other side of credits and debits by hand; and what came for who has left
    clearing:<provider>           money at a payment provider: what it holds for us, below 0
    fees:routing, fees:processor  what payments cost, and what users paid of that
"""

from lightphon_core.types import Origin as Origin  # also what others call it

SPENDING_ORDER = tuple(Origin)
WITHDRAWABLE = (Origin.LIGHTNING, Origin.EARNED)
"""What may leave by a payout, in this order."""
HOUSE = "house"
ADJUSTMENTS = "adjustments"
HOUSE_ACCOUNTS = (HOUSE, ADJUSTMENTS)
"""Those whose names have no parts."""

EARNINGS = "earnings:"
"""What the names of pending earnings begin with."""
WALLET = "wallet:"
RECEIVABLE = "receivable:"

ROUTING_FEES = "fees:routing"

_NEVER_NEGATIVE = (WALLET, EARNINGS, "payout:")


def wallet(account: str, origin: Origin) -> str:
    """A user's money of one origin."""
    return f"{WALLET}{account}:{origin}"


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


def owner(name: str) -> str | None:
    """Whose wallet or earnings an account is: the id of a user; None for all other accounts."""
    if not name.startswith((WALLET, EARNINGS)):
        return None
    return name.partition(":")[2].rpartition(":")[0]


def payout(account: str) -> str:
    """What of a user's money is on its way out."""
    return f"payout:{account}"


def clearing(provider: str) -> str:
    """Money at a payment provider."""
    return f"clearing:{provider}"


def receivable(account: str) -> str:
    """What a user owes, below 0."""
    return f"{RECEIVABLE}{account}"


def debtor(name: str) -> str:
    """Who owes what an account holds: `receivable` the other way round."""
    return name.removeprefix(RECEIVABLE)


def personal(account: str) -> list[str]:
    """Every account of the ledger that is about one user."""
    return [
        *wallets(account),
        *(earnings(account, origin) for origin in SPENDING_ORDER),
        payout(account),
        receivable(account),
    ]


def may_be_negative(name: str) -> bool:
    """Whether an account may be overdrawn."""
    return not name.startswith(_NEVER_NEGATIVE)
