"""A real Lightning network on regtest: bitcoind, ElectrumX, and three Electrum wallets in a row.

    house ──── hub ──── person

The gateway's wallet is the house's, and what it pays to the person goes through the hub, which takes a fee for it.
`.ci/regtest-kit` brings the programs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import define

from lightphon_payment_lightning.testing.chain import Chain
from lightphon_payment_lightning.testing.electrum import ElectrumNode, HoldInvoice
from lightphon_payment_lightning.testing.programs import Programs, eventually

CHANNEL_SATS = 2_000_000
PUSHED_SATS = 1_000_000


@define
class Network:
    """Three wallets, and the chain under them."""

    chain: Chain
    house: ElectrumNode
    hub: ElectrumNode
    person: ElectrumNode
    programs: Programs

    @property
    def nodes(self) -> tuple[ElectrumNode, ...]:
        return self.house, self.hub, self.person

    @contextmanager
    def without_the_hub(self) -> Iterator[None]:
        """House and person are cut off from one another in this block."""
        self.hub.stop()
        yield
        self.hub.start()
        self.ready()

    def until_held(self, invoice: HoldInvoice) -> None:
        """Wait until the person has the money of an invoice in suspense."""
        eventually(lambda: self.person.holds(invoice), "the payment is with its payee")

    def ready(self) -> None:
        """Wait until every channel can be used again."""
        for node in self.nodes:
            eventually(node.is_open, f"the channels of {node.name} are open")


@contextmanager
def running_network(kit: Path, folder: Path) -> Iterator[Network]:
    """The network, of the programs in `kit`, with all its files in `folder`. House and person can pay the other about
    a million sats each."""
    with ExitStack() as stack:
        programs = Programs(kit, folder)
        stack.callback(programs.close)
        chain = Chain(programs)
        stack.callback(chain.rpc.close)
        house, hub, person = (ElectrumNode(name, programs) for name in ("house", "hub", "person"))
        for node in (house, hub, person):
            stack.callback(node.rpc.close)
            node.prepare(chain)
        starting = [threading.Thread(target=node.start) for node in (house, hub, person)]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        for node in (house, person):
            chain.send(node.call("getunusedaddress"), 1)
        chain.mine(1)
        for node in (house, person):
            eventually(node.has_coins, "the coins are there")
            node.call(
                "open_channel",
                connection_string=hub.call("nodeid"),
                amount=f"{CHANNEL_SATS / 100_000_000:.8f}",
                push_amount=f"{PUSHED_SATS / 100_000_000:.8f}",
            )
        eventually(lambda: len(chain.rpc.call("getrawmempool")) == 2, "both channels are funded")
        chain.mine(6)
        network = Network(chain, house, hub, person, programs)
        network.ready()
        yield network
