"""/api/status: how much there is in all, and how fast it answers; for everybody.

Sums alone: no model, since the list of models needs a key, and nothing of accounts or of whose nodes they are.
"""

from __future__ import annotations

import msgspec
from litestar import get

import lightphon_core
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.serving.gateway import Gateway
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.monitoring.recent import WINDOW_S, Recent
from lightphon_core.web.openapi import refusals


class Capacity(msgspec.Struct, frozen=True):
    """How many requests all nodes can run at once, run now, and have waiting."""

    slots: int
    busy: int
    queued: int


class LatencyNow(msgspec.Struct, frozen=True):
    """Over the answers that ended in the last `window_s` seconds; null where there were none. `ttft` is the time from a
    request to its first output."""

    window_s: int
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    tokens_per_s_p50: float | None


class Status(msgspec.Struct, frozen=True):
    """The version of LightPhon, how many nodes and models are online, how busy they are, and how fast."""

    version: str
    nodes_online: int
    models_online: int
    capacity: Capacity
    latency: LatencyNow


@get("/status", name="status", tags=["server"], responses=refusals())
async def get_status(gateway: Given[Gateway], recent: Given[Recent]) -> Status:
    """What anybody may know."""
    return status_of(gateway, recent)


def status_of(gateway: Gateway, recent: Recent) -> Status:
    """The same, for whoever shows it."""
    entries = gateway.catalogue.entries()
    return Status(
        lightphon_core.__version__,
        nodes_online=len({(entry.backend.name, entry.offer.node.id) for entry in entries}),
        models_online=len(gateway.catalogue.models()),
        capacity=capacity(gateway.catalogue),
        latency=latency_now(recent),
    )


def latency_now(recent: Recent) -> LatencyNow:
    """How fast answers came lately."""
    latency = recent.latency()
    return LatencyNow(
        round(WINDOW_S),
        _rounded(latency.ttft_p50_s, 1000),
        _rounded(latency.ttft_p95_s, 1000),
        _rounded(latency.tokens_per_s_p50),
    )


def capacity(catalogue: Catalogue) -> Capacity:
    """The sums over all offers, each backend asked once."""
    slots = busy = queued = 0
    with catalogue.loads_held():
        for entry in catalogue.entries():
            load = entry.load()
            slots += entry.offer.slots
            busy += min(load.busy, entry.offer.slots)
            queued += load.queued
    return Capacity(slots, busy, queued)


def _rounded(value: float | None, times: int = 1) -> float | None:
    return None if value is None else round(value * times, 1)
