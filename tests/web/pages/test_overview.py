"""What the overview for administrators calls a problem, and how long it waits for a proof of the books."""

import asyncio

import attrs
import msgspec
import pytest

from lightphon_core.ledger.proof import Proof, Totals
from lightphon_core.web.api.instance_health import DatabaseHealth, DiskHealth, InstanceHealth, PayoutHealth
from lightphon_core.web.api.payout_administration import FreezeInfo
from lightphon_core.web.api.status import Capacity, LatencyNow
from lightphon_core.web.pages.administration import overview
from lightphon_core.web.pages.administration.overview import concerns, latest_proof

WELL = InstanceHealth(
    version="1",
    python="3",
    started_at=1,
    uptime_s=1,
    problem=None,
    database=DatabaseHealth("lightphon.db", "sqlite", 1, "0010", "0010", 0, 0.0),
    disk=DiskHealth("/data", 10, 20, "enough"),
    nodes_online=1,
    capacity=Capacity(1, 0, 0),
    outcomes={},
    latency=LatencyNow(600, None, None, None),
    open_holds=0,
    payouts=PayoutHealth({}, []),
)
RIGHT = Proof(1, [], Totals(), 0, 0)


def changed(**parts):
    """`WELL` with these parts of it otherwise; a mapping changes a part's own parts."""
    return msgspec.structs.replace(
        WELL,
        **{
            name: msgspec.structs.replace(getattr(WELL, name), **value) if isinstance(value, dict) else value
            for name, value in parts.items()
        },
    )


@pytest.mark.parametrize(
    ("health", "kind", "said"),
    [
        (changed(problem="The server is stopping."), "bad", "stopping"),
        (changed(disk={"room": "full"}), "bad", "disk is full"),
        (changed(disk={"room": "little"}), "warn", "little room"),
        (changed(payouts={"freezes": [FreezeInfo("lightning", 1, "Why.")]}), "bad", "lightning are frozen: Why."),
        (changed(payouts={"under_way": {"awaiting_approval": 2}}), "warn", "wait for your approval: 2."),
        (changed(payouts={"under_way": {"unknown": 1}}), "warn", "may or may not have been paid: 1."),
        (changed(database={"schema": "0001"}), "warn", "schema 0001"),
        (changed(database={"writes_lost": 3}), "warn", "since the start: 3."),
        (changed(database={"clock_ahead_s": -60.0}), "warn", "clocks"),
        (changed(nodes_online=0), "warn", "No node"),
    ],
)
def test_what_an_administrator_should_look_at(health, kind, said):
    (found,) = concerns(health, RIGHT)
    assert (found.kind, said in found.text) == (kind, True)


def test_nothing_to_look_at():
    fine = changed(payouts={"under_way": {"held": 1, "submitted": 1}}, disk={"room": None})
    for proof in (None, RIGHT):
        assert list(concerns(WELL, proof)) == list(concerns(fine, proof)) == []
    assert [each.kind for each in concerns(WELL, attrs.evolve(RIGHT, problems=["house"]))] == ["bad"]


async def test_the_overview_waits_for_no_long_proof(monkeypatch):
    """It shows the last one meanwhile, and one that is young enough is not made again."""

    class Slow:
        latest = None
        asked = 0

        async def prove(self):
            self.asked += 1
            await ended.wait()
            self.latest = attrs.evolve(RIGHT, at=200_000_000)
            return self.latest

    ended, slow = asyncio.Event(), Slow()
    monkeypatch.setattr(overview, "PATIENCE_S", 0.0)
    assert await latest_proof(slow, now=200) is None
    slow.latest = attrs.evolve(RIGHT, at=100_000_000)
    assert await latest_proof(slow, now=150) is slow.latest
    assert slow.asked == 1
    assert (await latest_proof(slow, now=200)).at == 100_000_000
    assert slow.asked == 2
    ended.set()
    monkeypatch.setattr(overview, "PATIENCE_S", 20.0)
    assert (await latest_proof(slow, now=200)).at == 200_000_000
