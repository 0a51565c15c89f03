"""A `Host` for a plugin that is tested by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from litestar.connection import ASGIConnection

from lightphon_core.errors import Unauthenticated
from lightphon_core.host import Clock, Host, SystemClock, Tasks
from lightphon_core.types import Principal

S = TypeVar("S")
Connection = ASGIConnection[Any, Any, Any, Any]


async def _nobody(connection: Connection) -> Principal:
    del connection
    raise Unauthenticated("Nobody is known here.")


def host_for(
    settings: S,
    *,
    plugin: str = "test",
    clock: Clock | None = None,
    offers_changed: Callable[[], None] = lambda: None,
    authenticate: Callable[[Connection], Awaitable[Principal]] = _nobody,
) -> Host[S]:
    """What the constructor of a plugin is given: these settings, the real clock unless told, and a catalogue that does
    not care. Nobody may come in, unless `authenticate` says so."""
    log = structlog.stdlib.get_logger(f"lightphon.{plugin}")
    return Host(plugin, settings, log, clock or SystemClock(), Tasks(log), offers_changed, authenticate)
