"""What the ledger keeps: balances, holds and entries, as the rules of `book.py` see them."""

from __future__ import annotations

from typing import Any

from attrs import define

from lightphon_core.ledger.commands import Posting

EntryKey = tuple[str, str, str]
"""Kind, source and external id."""


@define
class Balance:
    """`held` of `amount` is set aside."""

    amount: int = 0
    held: int = 0


@define
class Hold:
    """Money set aside for one answer. `parts` is by origin, in the order of `SPENDING_ORDER`."""

    id: str
    account: str
    parts: list[int]
    payee: str | None
    house_bps: int
    lease_until: int
    created_at: int
    checkpoint: int = 0
    note: str = ""
    credential: str | None = None

    @property
    def amount(self) -> int:
        return sum(self.parts)

    def usage(self) -> dict[str, Any]:
        """All that is known of the answer, as a row of `usage`, where its gateway died. The note is the model's id."""
        who = {"id": self.id, "account_id": self.account, "credential_id": self.credential, "model": self.note}
        return who | {"owner_id": self.payee, "node_id": "", "prompt_tokens": 0, "completion_tokens": 0, "ms": 0}


@define
class Entry:
    """One entry of the journal, and its postings."""

    id: str
    key: EntryKey
    postings: tuple[Posting, ...]
    note: str
