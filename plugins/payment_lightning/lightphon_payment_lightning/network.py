"""The Bitcoin networks that Lightning runs on."""

from __future__ import annotations

from enum import StrEnum


class Network(StrEnum):
    """Money of one is worth nothing on another."""

    BITCOIN = "bitcoin"
    TESTNET = "testnet"
    SIGNET = "signet"
    REGTEST = "regtest"

    @property
    def currency(self) -> str:
        """What stands after "ln" in its invoices (BOLT 11)."""
        return {"bitcoin": "bc", "testnet": "tb", "signet": "tbs", "regtest": "bcrt"}[self.value]
