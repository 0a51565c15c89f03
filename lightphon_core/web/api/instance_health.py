"""/api/admin/health: how the server, its database and its disk are doing."""

from __future__ import annotations

import asyncio
import platform

import msgspec
from litestar import get

import lightphon_core
from lightphon_core.ledger.proof import open_holds
from lightphon_core.payments.payouts.freezes import freezes
from lightphon_core.payments.payouts.store import count_under_way
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.storage.revisions import current, newest
from lightphon_core.storage.room import room_of
from lightphon_core.types import Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.payout_administration import FreezeInfo, freeze_info
from lightphon_core.web.api.status import Capacity, LatencyNow, capacity, latency_now
from lightphon_core.web.monitoring.health import NotReady, Readiness
from lightphon_core.web.monitoring.recent import Recent
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals


class DatabaseHealth(msgspec.Struct, frozen=True):
    """`name` has no password. `bytes` is null where it is no file. `schema` is the one that it has. `writes_lost` are
    those that it did not take since the server started. `clock_ahead_s`: of this machine's clock."""

    name: str
    kind: str
    bytes: int | None
    schema: str | None
    newest_schema: str
    writes_lost: int
    clock_ahead_s: float


class DiskHealth(msgspec.Struct, frozen=True):
    """The disk of the data directory. `room` is enough, little or full; all are null where it cannot be told."""

    directory: str
    free_bytes: int | None
    total_bytes: int | None
    room: str | None


class PayoutHealth(msgspec.Struct, frozen=True):
    """Payouts that have not ended, by status, and the providers through which nothing is paid out for now."""

    under_way: dict[str, int]
    freezes: list[FreezeInfo]


class InstanceHealth(msgspec.Struct, frozen=True):
    """`problem` is what keeps the server from its work, null where nothing does. `outcomes` counts the requests of the
    last `latency.window_s` seconds (at most 2,048) by how they ended, "ok" or another word. `open_holds` are answers
    under way that money is set aside for."""

    version: str
    python: str
    started_at: int
    uptime_s: int
    problem: str | None
    database: DatabaseHealth
    disk: DiskHealth
    nodes_online: int
    capacity: Capacity
    outcomes: dict[str, int]
    latency: LatencyNow
    open_holds: int
    payouts: PayoutHealth


@get(
    "/admin/health",
    name="admin_health",
    tags=["administration"],
    guards=[Requires(Scope.ADMIN)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def get_health(
    gateway: Given[Gateway],
    database: Given[Database],
    settings: Given[Settings],
    recent: Given[Recent],
    readiness: Given[Readiness],
) -> InstanceHealth:
    """How it goes. The database is asked to write, as by /readyz."""
    return await instance_health(gateway, database, settings, recent, readiness)


async def instance_health(
    gateway: Gateway, database: Database, settings: Settings, recent: Recent, readiness: Readiness
) -> InstanceHealth:
    """What there is to know. Raises `StorageUnavailable`."""
    problem = None
    try:
        await readiness.check()
    except NotReady as error:
        problem = error.message

    def look(connection: Connection) -> tuple[DatabaseHealth, int, PayoutHealth]:
        about = DatabaseHealth(
            name=database.name,
            kind="postgresql" if database.path is None else "sqlite",
            bytes=None if database.path is None else database.path.stat().st_size,
            schema=current(connection),
            newest_schema=newest(),
            writes_lost=database.writes_lost,
            clock_ahead_s=round(database_now(connection) / 1_000_000 - gateway.clock.now(), 3),
        )
        payouts = PayoutHealth(
            {state.value: number for state, number in count_under_way(connection).items()},
            [freeze_info(each) for each in freezes(connection)],
        )
        return about, open_holds(connection), payouts

    about, holds, payouts = await database.read(look)
    return InstanceHealth(
        version=lightphon_core.__version__,
        python=platform.python_version(),
        started_at=gateway.started_at,
        uptime_s=max(0, int(gateway.clock.now()) - gateway.started_at),
        problem=problem,
        database=about,
        disk=await asyncio.to_thread(_disk, settings, database),
        nodes_online=len(gateway.catalogue.nodes()),
        capacity=capacity(gateway.catalogue),
        outcomes=dict(recent.outcomes()),
        latency=latency_now(recent),
        open_holds=holds,
        payouts=payouts,
    )


def _disk(settings: Settings, database: Database) -> DiskHealth:
    directory = settings.data_dir
    try:
        room = room_of(directory, database.path)
    except OSError:
        return DiskHealth(str(directory), None, None, None)
    return DiskHealth(str(directory), room.free, room.total, room.verdict.value)
