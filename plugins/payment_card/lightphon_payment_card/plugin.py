"""The plugin: deposits by card."""

from __future__ import annotations

from lightphon_core import Host


class Card:
    """Fills wallets by card."""

    def __init__(self, host: Host[None]) -> None:
        self._host = host
