"""The built-in scorers, registered through the same hook as everyone else's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightphon_core.hookspecs import hookimpl
from lightphon_core.host import Host
from lightphon_core.ports import Scorer
from lightphon_core.routing.scorers.affinity import Affinity
from lightphon_core.routing.scorers.availability import Availability
from lightphon_core.routing.scorers.capability import Fit
from lightphon_core.routing.scorers.price import CostOfAnswer
from lightphon_core.routing.scorers.speed import Speed

SCORERS: Sequence[Scorer] = (Availability(), Speed(), Fit(), CostOfAnswer(), Affinity())
"""All of them; they remember nothing."""


class BuiltinScorers:
    """The plugin that brings them."""

    def __init__(self, host: Host[Any]) -> None:
        del host

    @hookimpl
    def register_scorers(self) -> Sequence[Scorer]:
        return SCORERS
