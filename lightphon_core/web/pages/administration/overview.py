"""/admin: whether all is well, in one look, and what waits for an administrator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from attrs import frozen
from litestar import Response, get

from lightphon_core.ledger.proof import Proof
from lightphon_core.ledger.prover import Prover
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.room import Verdict
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.instance_health import InstanceHealth, instance_health
from lightphon_core.web.api.ledger_proof import ledger_proof
from lightphon_core.web.monitoring.health import Readiness
from lightphon_core.web.monitoring.recent import Recent
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor

PROOF_AGE_S = 60.0
"""How old a proof is that the overview still shows as it is."""
PATIENCE_S = 1.0
"""How long it waits for a new one; a long journal takes longer."""
CLOCKS_APART_S = 5


@frozen
class Concern:
    """Something an administrator should look at. `kind` is bad or warn; `address` is where to look, if it is here."""

    kind: str
    text: str
    address: str | None = None


@get("/admin", name="admin-page")
async def overview(
    request: Asked,
    administrator: Given[Visitor],
    gateway: Given[Gateway],
    database: Given[Database],
    settings: Given[Settings],
    recent: Given[Recent],
    readiness: Given[Readiness],
    prover: Given[Prover],
) -> Response[str]:
    """The first page for administrators."""
    proof = await latest_proof(prover, gateway.clock.now())
    health = await instance_health(gateway, database, settings, recent, readiness)
    return page(
        request,
        "admin/overview.html",
        administrator,
        health=health,
        proof=None if proof is None else ledger_proof(proof),
        concerns=list(concerns(health, proof)),
        settings=settings,
    )


async def latest_proof(prover: Prover, now: float) -> Proof | None:
    """A proof that is not too old, else a new one if it comes soon, else the last one; None where there is none yet."""
    latest = prover.latest
    if latest is None or now - latest.at / 1_000_000 > PROOF_AGE_S:
        asked = asyncio.ensure_future(prover.prove())
        asked.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({asked}, timeout=PATIENCE_S)
    return prover.latest


def concerns(health: InstanceHealth, proof: Proof | None) -> Iterator[Concern]:
    """What is not as it should be, the worst first."""
    database, disk, payouts = health.database, health.disk, health.payouts
    if health.problem is not None:
        yield Concern("bad", health.problem)
    if proof is not None and not proof.is_right:
        yield Concern("bad", "The books are not right.", "/admin/ledger")
    if disk.room == Verdict.FULL:
        yield Concern("bad", "The disk is full: every request stops. Free some space.")
    for freeze in payouts.freezes:
        yield Concern("bad", f"Payouts through {freeze.provider} are frozen: {freeze.reason}", "/admin/payouts")
    if unknown := payouts.under_way.get("unknown"):
        yield Concern("warn", f"Payouts that may or may not have been paid: {unknown}.", "/admin/payouts")
    if waiting := payouts.under_way.get("awaiting_approval"):
        yield Concern("warn", f"Payouts that wait for your approval: {waiting}.", "/admin/payouts")
    if disk.room == Verdict.LITTLE:
        yield Concern("warn", "The disk has little room to grow and for a backup. Free some space.")
    if database.schema != database.newest_schema:
        yield Concern("warn", f"The database has the schema {database.schema}; this version's is another one.")
    if database.writes_lost:
        yield Concern("warn", f"Writes that the database did not take since the start: {database.writes_lost}.")
    if abs(database.clock_ahead_s) > CLOCKS_APART_S:
        yield Concern("warn", "The clocks of database and server are apart. Set both by NTP: sessions run on them.")
    if not health.nodes_online:
        yield Concern("warn", "No node is connected, so nothing can be answered.", "/admin/nodes")


ROUTES = [overview]
