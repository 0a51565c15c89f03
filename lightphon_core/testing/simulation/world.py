"""Worlds of nodes, drawn from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from attrs import frozen

from lightphon_core.errors import Unavailable
from lightphon_core.ports import Backend
from lightphon_core.testing.simulation.behaviours import (
    Behaviour,
    BlackHole,
    Degrades,
    Dies,
    FailsFast,
    Flaps,
    Shared,
    Steady,
)
from lightphon_core.testing.simulation.node import NodePlan, SimulatedNode
from lightphon_core.testing.simulation.timeline import Timeline
from lightphon_core.types import Capability, Job, Load, Model, Node, Offer, Price

MODELS = [
    # id, thousand millions of parameters, share of the nodes
    ("simulated/tiny", 0.5, 0.15),
    ("simulated/small", 3.0, 0.2),
    ("simulated/middle", 8.0, 0.3),
    ("simulated/large", 32.0, 0.2),
    ("simulated/huge", 70.0, 0.15),
]
SLOTS = (1, 2, 2, 4, 4, 8)
FAULTY = 0.3
"""Share of the nodes that go wrong some time; the faults are equally frequent among them."""
CHURN = 0.2
"""Share of the nodes that join late or leave early, beside their faults."""
DRAINED = 0.7
"""Share of those that leave which say so, and first end what they have begun."""


@frozen
class World:
    """What there is in a simulation: nodes, and how long clients come for, in seconds."""

    nodes: Sequence[NodePlan]
    duration_s: float

    def capacity(self, answer_tokens: float, prompt_tokens: float) -> float:
        """Answers of that size a second that the nodes that stay and do as they should could give, all slots full."""
        return sum(
            plan.offer.slots / _service_s(plan, answer_tokens, prompt_tokens)
            for plan in self.nodes
            if isinstance(plan.behaviour, Steady) and plan.joins_at == 0 and plan.leaves_at == math.inf
        )


def draw_world(seed: int, *, nodes: int, duration_s: float) -> World:
    """A world of that many nodes. The same seed gives the same one."""
    rng = random.Random(f"world {seed}")  # noqa: S311 - a simulation
    return World([_node(rng, number, duration_s) for number in range(nodes)], duration_s)


def _node(rng: random.Random, number: int, duration_s: float) -> NodePlan:
    (name, params_b, _), *_ = rng.choices(MODELS, [share for *_, share in MODELS])
    speed = 100 * params_b**-0.45 * rng.lognormvariate(0.0, 0.5)
    price = rng.choice((0, 1, 2)) * round(100_000 * params_b**0.5)
    joins, leaves = 0.0, math.inf
    if rng.random() < CHURN:
        if rng.random() < 0.5:
            joins = rng.uniform(0.0, duration_s)
        else:
            leaves = rng.uniform(0.0, duration_s)
    drains = leaves < math.inf and rng.random() < DRAINED
    return NodePlan(
        offer=Offer(
            id=f"n{number}",
            model=Model(name, frozenset({Capability.CHAT}), context_length=16_384, params_b=params_b),
            node=Node(f"n{number}", f"node-{number}"),
            slots=rng.choice(SLOTS),
            price=Price(per_mtok_completion=price),
        ),
        tokens_per_s=speed,
        prompt_tokens_per_s=speed * 20,
        latency_s=rng.lognormvariate(math.log(0.15), 0.5),
        behaviour=_behaviour(rng, duration_s),
        joins_at=joins,
        leaves_at=leaves,
        drains=drains,
    )


def _behaviour(rng: random.Random, duration_s: float) -> Behaviour:
    if rng.random() >= FAULTY:
        return Steady()
    at = rng.uniform(0.0, duration_s)
    up_s, down_s = rng.uniform(20.0, 90.0), rng.uniform(10.0, 60.0)
    faults: list[Behaviour] = [
        Dies(at),
        BlackHole(at),
        Flaps(up_s, down_s, rng.uniform(0.0, up_s + down_s)),
        FailsFast(rng.uniform(0.7, 1.0)),
        Degrades(at, rng.uniform(20.0, 100.0), rng.uniform(0.05, 0.2)),
        Shared(rng.uniform(0.2, 0.7)),
    ]
    return rng.choice(faults)


def _service_s(plan: NodePlan, answer_tokens: float, prompt_tokens: float) -> float:
    return plan.latency_s + prompt_tokens / plan.prompt_tokens_per_s + answer_tokens / plan.tokens_per_s


class SimulatedBackend(Backend):
    """The nodes of a world, as a backend shows them. `changed` is called whenever one joins or leaves."""

    name = "simulated"

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._load: dict[str, Load] = {}
        self.fleet = {plan.offer.id: SimulatedNode(plan, timeline, self._load.__setitem__) for plan in world.nodes}
        self.changed: Callable[[], None] = lambda: None
        for plan in world.nodes:
            for when in (plan.joins_at, plan.listed_until):
                if 0.0 < when < math.inf:
                    timeline.at(when, self._has_changed)

    def _has_changed(self) -> None:
        self.changed()

    def offers(self) -> Sequence[Offer]:
        return [node.plan.offer for node in self.fleet.values() if node.is_listed]

    def load(self) -> Mapping[str, Load]:
        """Kept as it changes, because it is read for every offer of every request."""
        return self._load

    async def serve(self, job: Job) -> AsyncGenerator[bytes, None]:
        """Nothing is sent here: jobs go to `fleet`."""
        if job.id:
            raise Unavailable("A simulated node has no engine.")
        yield b""
