"""Ends answers under way whose credential holds no more: it was revoked, or its account was blocked.

What this server is told of is looked into at once; what other processes do, the command line say, now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from attrs import define

from lightphon_core.errors import LightPhonError, PermissionDenied, StorageUnavailable, Unauthenticated
from lightphon_core.host import Tasks

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

LOOK_EVERY_S = 30.0

Still = Callable[[], Awaitable[object]]
"""Asks again whom a request acts for; raises `Unauthenticated` or `PermissionDenied` where it may no longer."""


@define(eq=False)
class _UnderWay:
    credential_id: str
    still: Still
    end: Callable[[LightPhonError], None]


class Revocation:
    """One per application."""

    def __init__(self, tasks: Tasks, log: BoundLogger) -> None:
        self._tasks = tasks
        self._log = log
        self._accounts: dict[str, set[_UnderWay]] = {}

    def watch(
        self, account_id: str, credential_id: str, still: Still, end: Callable[[LightPhonError], None]
    ) -> Callable[[], None]:
        """Have `end` called with the reason once the credential holds no more. Call the result at the end."""
        one = _UnderWay(credential_id, still, end)
        self._accounts.setdefault(account_id, set()).add(one)

        def forget() -> None:
            others = self._accounts[account_id]
            others.discard(one)
            if not others:
                del self._accounts[account_id]

        return forget

    def changed(self, account_id: str) -> None:
        """Something about this account's credentials has changed."""
        if account_id in self._accounts:
            self._tasks.spawn(self._look(account_id), name="look at credentials")

    async def keep(self) -> None:
        """Look at all of them now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for account_id in list(self._accounts):
                await self._look(account_id)

    async def _look(self, account_id: str) -> None:
        by_credential: dict[str, list[_UnderWay]] = {}
        for one in self._accounts.get(account_id, ()):
            by_credential.setdefault(one.credential_id, []).append(one)
        for same in by_credential.values():
            try:
                await same[0].still()
            except (Unauthenticated, PermissionDenied) as error:
                for one in same:
                    one.end(error)
            except StorageUnavailable:
                return  # nobody can say; the next look may
            except Exception as error:  # noqa: BLE001 - a plugin's authenticator may raise anything
                self._log.error("a credential could not be looked at again", exc_info=error)
