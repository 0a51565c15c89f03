"""Who is let in to the node link, before and beside the question whose token it is: bounds on connections."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

from lightphon_backend_gguf.protocol.allowance import Allowance

WAITING = 512
"""Connections that have not said hello yet."""
WAITING_PER_ADDRESS = 64
"""The same from one address. All nodes behind one router come back at once when the server was restarted."""
BAD_TOKENS_PER_MINUTE = 30
"""Tokens that are not accepted, from one address; beyond that nothing of it is looked up for a while."""
ADDRESSES = 10_000
"""Addresses that are remembered."""


class Gate:
    """Counts connections, by address until they have said hello, and by token from then on. For one event loop.

    `per_token` is how many nodes may be connected with one token. Times are in seconds.
    """

    def __init__(self, per_token: int) -> None:
        self._per_token = per_token
        self._waiting: Counter[str] = Counter()
        self._connected: dict[str, Counter[str]] = {}
        self._bad: OrderedDict[str, Allowance] = OrderedDict()

    @contextmanager
    def waiting(self, client: str | None, now: float) -> Iterator[bool]:
        """Whether this connection may show its token. It counts as waiting until the block ends."""
        address = block_of(client)
        bad = self._bad.get(address)
        tolerated = bad is None or bad.has(1, now)
        if not tolerated or self._waiting[address] >= WAITING_PER_ADDRESS or self._waiting.total() >= WAITING:
            yield False
            return
        with _counted(self._waiting, address):
            yield True

    @contextmanager
    def connected(self, credential_id: str, node_id: str) -> Iterator[bool]:
        """Whether this node may connect with this token. It counts as connected until the block ends; a node that comes
        back before its old connection has ended counts once."""
        nodes = self._connected.get(credential_id, Counter())
        if node_id not in nodes and len(nodes) >= self._per_token:
            yield False
            return
        self._connected[credential_id] = nodes
        try:
            with _counted(nodes, node_id):
                yield True
        finally:
            if not nodes:
                self._connected.pop(credential_id, None)

    def refused(self, client: str | None, now: float) -> None:
        """A token from this address was not accepted."""
        address = block_of(client)
        bad = self._bad.setdefault(address, Allowance(BAD_TOKENS_PER_MINUTE / 60, BAD_TOKENS_PER_MINUTE))
        bad.spend(1, now)
        self._bad.move_to_end(address)
        if len(self._bad) > ADDRESSES:
            self._bad.popitem(last=False)


def block_of(client: str | None) -> str:
    """What counts as one address: an IPv4 address, or the /64 that whoever has one IPv6 address has all of."""
    try:
        address = ip_address(client or "")
    except ValueError:
        return client or ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(getattr(address, "ipv4_mapped", None) or address)


@contextmanager
def _counted(counter: Counter[str], key: str) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]
