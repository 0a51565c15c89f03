"""Those who wait for a deposit to be paid: each hears of every change of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable

from attrs import define, field

from lightphon_core.errors import RateLimited
from lightphon_core.payments.deposits.deposit import Deposit, Status

FOLLOWED_AT_ONCE = 20
"""By one account."""
NEWS_FROM_ELSEWHERE_S = 2.0
"""How often a follower looks into the database for what another server has recorded."""


@define
class _Party:
    """Who follows one deposit."""

    count: int = 0
    news: asyncio.Event = field(factory=asyncio.Event)


class Followers:
    """Of all deposits. `read(account, id)` is a deposit as it stands; `begun` is called with one that may still be paid
    when somebody begins to follow it."""

    def __init__(self, read: Callable[[str, str], Awaitable[Deposit]], begun: Callable[[Deposit], object]) -> None:
        self._read = read
        self._begun = begun
        self._parties: dict[str, _Party] = {}
        self._by_account: Counter[str] = Counter()

    async def follow(self, account: str, deposit_id: str) -> AsyncGenerator[Deposit, None]:
        """A deposit as it is now, and again whenever it changes, until nothing more is to be expected soon: it is
        settled, has failed or is over.

        Raises:
            NotFound: the account has no such deposit.
            RateLimited: the account follows too many at once.
            StorageUnavailable: the database does not answer.
        """
        if self._by_account[account] >= FOLLOWED_AT_ONCE:
            raise RateLimited(
                f"This account follows {FOLLOWED_AT_ONCE} deposits already. Close one of those streams.", retry_after=1
            )
        self._by_account[account] += 1
        party = self._parties.setdefault(deposit_id, _Party())
        party.count += 1
        try:
            shown: Deposit | None = None
            while True:
                party.news.clear()
                deposit = await self._read(account, deposit_id)
                if shown is None and deposit.may_settle:
                    self._begun(deposit)
                if deposit != shown:
                    yield deposit
                    shown = deposit
                if deposit.status not in (Status.CREATING, Status.OPEN):
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(NEWS_FROM_ELSEWHERE_S):
                        await party.news.wait()
        finally:
            self._by_account -= Counter([account])
            party.count -= 1
            if not party.count:
                self._parties.pop(deposit_id, None)

    def is_followed(self, deposit_id: str) -> bool:
        """Whether somebody is waiting for it."""
        return deposit_id in self._parties

    def changed(self, deposit: Deposit) -> None:
        """Wake those who follow it."""
        party = self._parties.get(deposit.id)
        if party is not None:
            party.news.set()
