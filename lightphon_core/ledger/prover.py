"""Proofs of the books while the gateway runs, one at a time: each reads the whole journal."""

from __future__ import annotations

import asyncio

from lightphon_core.ledger.proof import Proof, prove
from lightphon_core.storage.engine import Database


class Prover:
    """One per application. Use it on one event loop. `latest` is the last proof, None before the first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._under_way: asyncio.Task[Proof] | None = None
        self.latest: Proof | None = None

    async def prove(self) -> Proof:
        """A proof of a snapshot, off the event loop. Who asks while one is under way shares it, however long it
        takes, and whoever stops waiting takes it from nobody.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._prove(), name="prove the books")
            self._under_way.add_done_callback(_heard)
        return await asyncio.shield(self._under_way)

    async def _prove(self) -> Proof:
        self.latest = await self._database.read(prove)
        return self.latest


def _heard(proof: asyncio.Task[Proof]) -> None:
    """Take note of its error, also where nobody waits for it any more."""
    if not proof.cancelled():
        proof.exception()
