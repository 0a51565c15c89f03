"""GET /healthz and /readyz: whether the process lives, and whether it can do its work."""

from __future__ import annotations

import asyncio

from litestar import Request, get
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from lightphon_core.errors import LightPhonError, TemporaryError
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Database
from lightphon_core.storage.probe import write_probe
from lightphon_core.web.operations import Health, answers

TIMEOUT_S = 2.0


class NotReady(TemporaryError):
    """The server cannot do its work now."""

    code = "not_ready"


class Readiness:
    """Asks the database, for one prober or many at a time."""

    def __init__(self, gateway: Gateway, database: Database) -> None:
        self._gateway = gateway
        self._database = database
        self._probe: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Return if a small write is on disk within `TIMEOUT_S` and the server is not stopping.

        Raises:
            NotReady: with what is wrong.
        """
        if self._gateway.closing:
            raise NotReady("The server is stopping.", retry_after=1)
        # Everybody can ask, so at most one write is under way, however long it takes.
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._write(), name="readiness")
            self._probe.add_done_callback(_heard)
        probe = self._probe  # while we wait, another prober may begin the next one
        await asyncio.wait({probe}, timeout=TIMEOUT_S)
        if not probe.done():
            raise NotReady(f"The database did not take a write within {TIMEOUT_S:g} seconds.", retry_after=1)
        if (error := probe.exception()) is not None:
            problem = error.message if isinstance(error, LightPhonError) else "The database refused a write."
            raise NotReady(problem, retry_after=1)

    async def _write(self) -> None:
        await self._database.write(write_probe)


def _heard(probe: asyncio.Task[None]) -> None:
    """Take note of its error, also where nobody waits for it any more."""
    if not probe.cancelled():
        probe.exception()


@get("/healthz", name="healthz", tags=["server"], responses=answers(Health))
async def healthz() -> ASGIApp:
    """The process answers. Says nothing about nodes or the database."""
    return ASGIResponse(body=b'{"status":"ok"}', media_type="application/json")


@get("/readyz", name="readyz", tags=["server"], responses=answers(Health))
async def readyz(request: Request[None, None, State]) -> ASGIApp:
    """The server can take requests; otherwise 503, and what is wrong."""
    readiness: Readiness = request.app.state.readiness
    await readiness.check()
    return ASGIResponse(body=b'{"status":"ready"}', media_type="application/json")
