"""A gateway whose wallet is part of a real Lightning network, and somebody with another wallet of it.

`.ci/regtest-tests` brings the programs, and says where.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from lightphon_payment_lightning.testing.electrum import ElectrumNode
from lightphon_payment_lightning.testing.network import Network, running_network
from lightphon_payment_lightning.testing.programs import PASSWORD, USER

from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.statement import balances_of
from lightphon_core.storage.engine import Database
from lightphon_core.testing.process import Person, ServerProcess, until


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """House and person can pay one another about a million sats."""
    with running_network(Path(os.environ["LIGHTPHON_TEST_REGTEST"]), tmp_path_factory.mktemp("network")) as network:
        yield network


SETTINGS = """
[plugins.lightning]
wallet = "electrum"
network = "regtest"

[plugins.lightning.electrum]
url = "{url}"
user = "{user}"
password = {{ env = "ELECTRUM_PASSWORD" }}
"""


@define
class Books:
    """What the ledger of a server and the wallets have to agree on, from a moment on."""

    server: ServerProcess
    network: Network
    before: dict[str, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.before = {node.name: node.has() for node in self.network.nodes}

    def gained(self, node: ElectrumNode) -> int:
        return node.has() - self.before[node.name]

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What the wallets do in this block is none of the server's doing."""
        before = {node.name: node.has() for node in self.network.nodes}
        yield
        for node in self.network.nodes:
            self.before[node.name] += node.has() - before[node.name]

    def check(self) -> None:
        """The books are right, and to the millisatoshi what the wallets gained and lost. Nothing is lost on the way."""
        with Database(f"sqlite:///{self.server.data_dir}/lightphon.db") as database, database.snapshot() as connection:
            assert verify(connection) == []
            held, _ = balances_of(connection, ["clearing:lightning"]).get("clearing:lightning", (0, 0))
        assert -held == self.gained(self.network.house)
        assert sum(self.gained(node) for node in self.network.nodes) == 0


@define
class Customer:
    """Somebody with an account at the gateway."""

    person: Person
    network: Network

    def deposits(self, sats: int) -> None:
        """Open a deposit, and have the person's wallet pay it."""
        opened = self.person.ask("POST", "/api/deposits", {"amount_sats": sats})
        assert self.network.person.pay(opened["invoice"])
        path = f"/api/deposits/{opened['id']}"
        until(lambda: self.person.ask("GET", path)["status"] == "settled", "the deposit is settled")

    def withdraws(self, invoice: str) -> str:
        """Ask for a payout; its id."""
        asked: str = self.person.ask("POST", "/api/payouts", {"destination": invoice})["id"]
        return asked

    def payout(self, payout: str) -> Any:
        return self.person.ask("GET", f"/api/payouts/{payout}")

    def ended(self, payout: str) -> Any:
        """The payout, once it is paid or has failed."""
        return self.reaches(payout, "paid", "failed")

    def reaches(self, payout: str, *states: str) -> Any:
        def there() -> Any:
            found = self.payout(payout)
            return found if found["state"] in states else None

        return until(there, f"a payout is {' or '.join(states)}")

    def has(self) -> int:
        """Millisatoshi in the wallet here."""
        found: int = self.person.ask("GET", "/api/wallet")["available_msat"]
        return found


@pytest.fixture
def ann(server: ServerProcess, network: Network) -> Customer:
    return Customer(server.register("ann"), network)


@pytest.fixture
def server(network: Network, tmp_path: Path) -> Iterator[ServerProcess]:
    """A gateway whose wallet is the house's."""
    settings = SETTINGS.format(url=network.house.rpc.url, user=USER)
    with ServerProcess(tmp_path, settings, {"ELECTRUM_PASSWORD": PASSWORD}) as server:
        yield server


@pytest.fixture
def books(server: ServerProcess, network: Network) -> Books:
    return Books(server, network)
