"""The plugin: deposits and payouts over Bitcoin Lightning."""

from __future__ import annotations

from lightphon_core import Host


class Lightning:
    """Fills wallets over Lightning, and pays out of them."""

    def __init__(self, host: Host[None]) -> None:
        self._host = host
