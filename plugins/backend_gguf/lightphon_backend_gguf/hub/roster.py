"""The nodes that are connected, and what they offer."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from lightphon_backend_gguf.hub.connection import Connection
from lightphon_backend_gguf.hub.translate import to_state
from lightphon_backend_gguf.protocol.closing import CloseCode
from lightphon_core import ConnectedNode, Load, Offer, Unavailable


class Roster:
    """Connections by node id. `changed` is called whenever `offers` gives another answer than before."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._connections: dict[str, Connection] = {}
        self._offers: tuple[Offer, ...] = ()

    def join(self, connection: Connection) -> None:
        """Take a node in. An older connection of the same node is closed: it is dead, or a double."""
        older = self._connections.get(connection.node.id)
        self._connections[connection.node.id] = connection
        if older is not None:
            older.close(CloseCode.REPLACED)

    def leave(self, connection: Connection) -> None:
        """Strike a connection off, unless a newer one has its place."""
        if self._connections.get(connection.node.id) is connection:
            del self._connections[connection.node.id]
        self.refresh()

    def refresh(self) -> None:
        """Read the offers of all nodes again."""
        offers = tuple(offer for connection in self._connections.values() for offer in connection.offers)
        if offers != self._offers:
            self._offers = offers
            self._changed()

    def offers(self) -> Sequence[Offer]:
        """What can be served now."""
        return self._offers

    def nodes(self) -> list[ConnectedNode]:
        """Every node that is connected, also those without an offer."""
        there = (connection for connection in self._connections.values() if not connection.gone)
        return [ConnectedNode(each.node, to_state(each.session), each.credential) for each in there]

    def load(self) -> Mapping[str, Load]:
        """How busy each offer is, looked up when it is asked for: the gateway asks for few of many at each request."""
        return _Loads(self)

    def load_of(self, offer_id: str) -> Load:
        """How busy one offer is. Raises `KeyError` where its node has gone."""
        connection, local = self._split(offer_id)
        if connection is None:
            raise KeyError(offer_id)
        busy, queued = connection.session.load(local)
        return Load(busy=busy, queued=queued, facts=connection.session.measured(local))

    def find(self, offer_id: str) -> tuple[Connection, str]:
        """The connection that has this offer, and the offer's id on it. Raises `Unavailable`."""
        connection, local = self._split(offer_id)
        if connection is None:
            raise Unavailable("The node has gone.")
        return connection, local

    def recheck(self, account_id: str) -> None:
        """Something about this account's credentials has changed: look whether its nodes' tokens still hold."""
        for connection in self._connections.values():
            if connection.node.owner == account_id:
                connection.recheck()

    async def close(self) -> None:
        """Tell every node that the server stops, and wait, briefly, until they were told."""
        leaving = list(self._connections.values())
        for connection in leaving:
            connection.close(CloseCode.RESTARTING)
        if leaving:
            await asyncio.wait([asyncio.create_task(connection.closed()) for connection in leaving], timeout=3)

    def _split(self, offer_id: str) -> tuple[Connection | None, str]:
        node_id, _, local = offer_id.partition("/")
        return self._connections.get(node_id), local


class _Loads(Mapping[str, Load]):
    """The loads of all offers of a roster, as they are when they are looked at."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def __getitem__(self, offer_id: str) -> Load:
        return self._roster.load_of(offer_id)

    def __iter__(self) -> Iterator[str]:
        return (offer.id for offer in self._roster.offers())

    def __len__(self) -> int:
        return len(self._roster.offers())
