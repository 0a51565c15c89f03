"""One simulation: a world, a load, and one way of choosing."""

from __future__ import annotations

import random
from collections.abc import Iterable

from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.occupancy import Occupancy
from lightphon_core.serving.places import Places
from lightphon_core.settings import LimitSettings
from lightphon_core.testing.simulation.contestants import Entrant, Equipment
from lightphon_core.testing.simulation.figures import Figures, figures
from lightphon_core.testing.simulation.journey import Gateway, Told
from lightphon_core.testing.simulation.load import Conversation, draw_load
from lightphon_core.testing.simulation.timeline import Timeline
from lightphon_core.testing.simulation.world import SimulatedBackend, World
from lightphon_core.types import OfferKey

LIMITS = LimitSettings(first_output_timeout_s=30.0, total_timeout_s=300.0)
"""The gateway's own, but for less patience: simulations last minutes."""


def simulate(
    world: World, entrant: Entrant, *, seed: int, utilisation: float, limits: LimitSettings = LIMITS
) -> Figures:
    """Have one contestant serve the load of this seed; the same arguments give the same figures."""
    timeline = Timeline()
    backend = SimulatedBackend(world, timeline)
    catalogue = Catalogue([backend], timeline.monotonic)
    backend.changed = catalogue.invalidate
    equipment = Equipment(
        timeline,
        catalogue,
        Occupancy(timeline.monotonic),
        Observations(timeline.monotonic),
        random.Random(f"contestant {seed}"),  # noqa: S311 - a simulation
    )
    contestant = entrant(equipment)
    places = Places(equipment.occupancy, contestant.breakers, equipment.observations)
    crowd = _Crowd(Gateway(timeline, backend, catalogue, places, contestant, limits))
    crowd.comes(draw_load(seed, world, utilisation=utilisation))
    timeline.run()
    return figures(crowd.told, crowd.returned, duration_s=world.duration_s)


class _Crowd:
    """The clients: each reads an answer for a while before it asks its next turn, and goes away when one fails."""

    def __init__(self, gateway: Gateway) -> None:
        self.told: list[Told] = []
        self.returned: list[bool] = []
        self._gateway = gateway

    def comes(self, conversations: Iterable[Conversation]) -> None:
        for each in conversations:
            self._asks_at(each.begins_at, each, 0, None)

    def _asks_at(self, when: float, conversation: Conversation, number: int, before: OfferKey | None) -> None:
        turn = conversation.turns[number]

        def heard(told: Told) -> None:
            self.told.append(told)
            if not told.well:
                return
            if before is not None:
                self.returned.append(told.at == before)
            if number + 1 < len(conversation.turns):
                self._asks_at(told.ended_at + turn.thinking_s, conversation, number + 1, told.at)

        self._gateway.timeline.at(when, lambda: self._gateway.ask(turn, heard))
