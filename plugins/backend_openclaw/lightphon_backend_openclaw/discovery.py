"""Which models one server has: asked at start, and again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from lightphon_backend_openclaw.conditions import Condition, next_look_s, tolerated
from lightphon_backend_openclaw.instances import Instance
from lightphon_backend_openclaw.listing import NotAListing, offers_of
from lightphon_backend_openclaw.notices import Notices
from lightphon_backend_openclaw.upstream import NotWell
from lightphon_core import Offer

LEAST_APART_S = 1.0
"""Looks are at least so far apart, whatever happens between them."""


class Discovery:
    """Keeps `offers` as the server has them. `changed` is called whenever they are others than before.

    `models` asks for the body of the list, and raises `NotWell`; `sleep` waits.
    """

    def __init__(
        self,
        instance: Instance,
        models: Callable[[], Awaitable[bytes]],
        notices: Notices,
        changed: Callable[[], None],
        log: structlog.stdlib.BoundLogger,
        *,
        refresh_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._instance = instance
        self._models = models
        self._notices = notices
        self._changed = changed
        self._log = log
        self._refresh_s = refresh_s
        self._sleep = sleep
        self._hurry = asyncio.Event()
        self._ill = 0
        self.offers: Sequence[Offer] = ()

    async def keep(self) -> None:
        """Look, for ever."""
        while True:
            self._hurry.clear()
            await self.look()
            await self._sleep(LEAST_APART_S)
            await self._pause(next_look_s(self._ill, self._refresh_s) - LEAST_APART_S)

    def look_soon(self) -> None:
        """Something happened that the list may explain."""
        self._hurry.set()

    async def look(self) -> None:
        """Ask once, and keep what is found."""
        try:
            offers = offers_of(await self._models(), self._instance)
        except NotWell as found:
            self._not_well(found.condition, found.status)
            return
        except NotAListing:
            self._not_well(Condition.STRANGE, None)
            return
        self._ill = 0
        self._notices.note("list", Condition.WELL)
        self._set(offers)

    def _not_well(self, condition: Condition, status: int | None) -> None:
        self._ill += 1
        if self._ill > tolerated(condition) or not self.offers:
            self._notices.note("list", condition, status=status)
            self._set(())

    def _set(self, offers: Sequence[Offer]) -> None:
        if list(offers) == list(self.offers):
            return
        self.offers = tuple(offers)
        self._log.info("models of a server", server=self._instance.name, models=len(offers))
        self._changed()

    async def _pause(self, seconds: float) -> None:
        """So long, or until `look_soon`."""
        if seconds <= 0:
            return
        waits = {asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._hurry.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
