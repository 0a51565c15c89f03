"""A simulation of many nodes and clients on a virtual clock, for trying scorers: without sockets, and the same each
time.

    world = draw_world(7, nodes=60, duration_s=120)
    simulate(world, LeastBusy, seed=7, utilisation=0.6)
    simulate(world, lambda equipment: Routed(equipment, [Weighted(MyScorer(), 1.0)]), seed=7, utilisation=0.6)
"""

from lightphon_core.testing.simulation.contestants import (
    CarefulLeastBusy,
    Contestant,
    Entrant,
    Equipment,
    LeastBusy,
    Random,
    RoundRobin,
    Routed,
)
from lightphon_core.testing.simulation.figures import Figures
from lightphon_core.testing.simulation.simulate import LIMITS, simulate
from lightphon_core.testing.simulation.world import World, draw_world

__all__ = [
    "LIMITS",
    "CarefulLeastBusy",
    "Contestant",
    "Entrant",
    "Equipment",
    "Figures",
    "LeastBusy",
    "Random",
    "RoundRobin",
    "Routed",
    "World",
    "draw_world",
    "simulate",
]
