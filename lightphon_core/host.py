"""What a plugin is given: its own settings and the few things of the application that it may touch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from attrs import field, frozen

from lightphon_core.errors import LightPhonError
from lightphon_core.types import Earnings, Price, PriceInForce, PriceSource

if TYPE_CHECKING:
    import structlog
    from litestar import Request, Response
    from litestar.connection import ASGIConnection

    from lightphon_core.types import Offer, Principal

S = TypeVar("S")


class Framed(Protocol):
    """Renders a template of the plugin's own in the frame of the web app."""

    async def __call__(
        self, request: Request[Any, Any, Any], template: str, *, status: int = 200, **values: Any
    ) -> Response[str]:
        """The page: `template` is a file in the folder `templates` of the plugin's package, and `values` are what it
        sees beside what every page does."""


class Clock(Protocol):
    """Time, passed in so that tests can hold it."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; for durations."""

    def now(self) -> float:
        """Seconds since 1970, UTC; for records."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        return time.time()


class Tasks:
    """Background work of one plugin. A task that fails is logged under its name and ends alone."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run `work` until it ends or the server stops. Needs a running event loop."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("background task failed", task=task.get_name(), exc_info=error)

    async def finish(self, timeout_s: float) -> bool:
        """Wait until all that runs has ended by itself, but not for longer than `timeout_s`. Whether it has."""
        running = list(self._running)
        return not running or not (await asyncio.wait(running, timeout=timeout_s))[1]

    async def stop(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class AccountChanges:
    """Tells, on this server, when an account's credentials may open less than before: one was revoked or changed, a
    session ended, or the account was blocked or removed. What another process does to the same database is not heard of
    here."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with each account's id. It must not wait, and raise nothing."""
        self._listeners.append(listener)

    def publish(self, account_id: str) -> None:
        """Call once what was changed is committed."""
        for listener in self._listeners:
            listener(account_id)


def _nothing_to_hear(_: Callable[[str], None]) -> None:
    """For a plugin that stands by itself."""


async def _nothing_earned(account_id: str) -> Earnings:
    del account_id
    return Earnings(today=0, total=0, pending=0)


def _as_asked(offer: Offer) -> PriceInForce:
    if offer.price is None:
        return PriceInForce(Price(), PriceSource.DEFAULT)
    return PriceInForce(offer.price, PriceSource.NODE)


async def _no_frame(
    request: Request[Any, Any, Any], template: str, *, status: int = 200, **values: Any
) -> Response[str]:
    del request, status, values
    raise LightPhonError(f"There is no web app here to show {template} in.")


@frozen
class Host(Generic[S]):
    """The application as one plugin sees it.

    `settings` is an instance of the plugin's own `settings` class, or None where it has none. `offers_changed()` asks
    the catalogue to read `offers()` again. `authenticate(connection)` tells who opened a connection to one of the
    plugin's own routes, or raises `Unauthenticated`; over HTTP under /api a session does it too, sent by our own pages,
    and what another site's page sends is refused. `on_account_change(listener)` has `listener(account_id)` called
    when the account's credentials may have ceased to hold: whoever keeps a connection open asks again then, and now and
    then in any case, since other processes revoke too. `earnings(account_id)` is what an account has earned with its
    nodes, and may raise `StorageUnavailable`; `price(offer)` is what an offer costs now. Both are to be shown to the
    account itself; a host without a ledger knows no earnings, and the node's own prices. `public_url` is the URL that
    the world reaches this server by, without a slash at the end; None where the operator told none. `page(request,
    template, **values)` answers a request to one of the plugin's own routes by a page in the frame of the web app.
    """

    plugin: str
    settings: S
    log: structlog.stdlib.BoundLogger
    clock: Clock
    tasks: Tasks
    offers_changed: Callable[[], None]
    authenticate: Callable[[ASGIConnection[Any, Any, Any, Any]], Awaitable[Principal]] = field(repr=False)
    on_account_change: Callable[[Callable[[str], None]], None] = field(default=_nothing_to_hear, repr=False)
    earnings: Callable[[str], Awaitable[Earnings]] = field(default=_nothing_earned, repr=False)
    price: Callable[[Offer], PriceInForce] = field(default=_as_asked, repr=False)
    public_url: str | None = None
    page: Framed = field(default=_no_frame, repr=False)
