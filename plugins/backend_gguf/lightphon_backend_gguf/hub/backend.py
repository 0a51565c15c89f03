"""The backend: the nodes' offers, and jobs sent to them."""

from collections.abc import AsyncGenerator, Mapping, Sequence

from lightphon_backend_gguf.hub.roster import Roster
from lightphon_backend_gguf.hub.setup import Installable, setup_of
from lightphon_core import Backend, ConnectedNode, Job, Load, NodeSetup, Offer


class NodeBackend(Backend):
    """Everything that GPU nodes offer."""

    name = "gguf"

    def __init__(self, roster: Roster, installable: Installable) -> None:
        self._roster = roster
        self._installable = installable

    def offers(self) -> Sequence[Offer]:
        return self._roster.offers()

    def nodes(self) -> Sequence[ConnectedNode]:
        return self._roster.nodes()

    def load(self) -> Mapping[str, Load]:
        return self._roster.load()

    async def node_setup(self, server: str) -> NodeSetup:
        return setup_of(server, await self._installable.wheel())

    async def serve(self, job: Job) -> AsyncGenerator[bytes, None]:
        connection, offer_id = self._roster.find(job.offer_id)
        running = connection.start(offer_id, job)
        del job  # or its body would stay in memory until the answer ends, long after the node has it
        try:
            while data := await running.answer.read():
                yield data
        finally:
            connection.stop(running)

    async def stop(self) -> None:
        await self._roster.close()
