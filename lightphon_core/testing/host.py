"""A `Host` for a plugin that is tested by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection

from lightphon_core.errors import Unauthenticated
from lightphon_core.host import Clock, Host, SystemClock, Tasks
from lightphon_core.types import Principal

S = TypeVar("S")
Connection = ASGIConnection[Any, Any, Any, Any]


async def _nobody(connection: Connection) -> Principal:
    del connection
    raise Unauthenticated("Nobody is known here.")


async def _unframed(
    request: Request[Any, Any, Any], template: str, *, status: int = 200, **values: Any
) -> Response[str]:
    """What would be shown, as JSON; what JSON cannot say, as text."""
    del request
    text = msgspec.json.encode({"template": template, "values": values}, enc_hook=str).decode()
    return Response(text, status_code=status, media_type="application/json")


def host_for(
    settings: S,
    *,
    plugin: str = "test",
    clock: Clock | None = None,
    offers_changed: Callable[[], None] = lambda: None,
    authenticate: Callable[[Connection], Awaitable[Principal]] = _nobody,
) -> Host[S]:
    """What the constructor of a plugin is given: these settings, the real clock unless told, and a catalogue that does
    not care. Nobody may come in, unless `authenticate` says so. Pages are JSON:
    the name of their template, and their values."""
    log = structlog.stdlib.get_logger(f"lightphon.{plugin}")
    tasks = Tasks(log)
    return Host(plugin, settings, log, clock or SystemClock(), tasks, offers_changed, authenticate, page=_unframed)
