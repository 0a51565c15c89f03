"""A gateway whose wallet is part of a real Lightning network, and somebody with another wallet of it.

`.ci/regtest-tests` brings the programs, and says where.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from lightphon_payment_lightning.testing.electrum import ElectrumNode
from lightphon_payment_lightning.testing.network import Network, running_network
from lightphon_payment_lightning.testing.programs import PASSWORD, USER

from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.chart import Origin, wallet
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.statement import balances_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.engine import Database
from lightphon_core.testing.process import Person, ServerProcess, until


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """House and person can pay one another about a million sats."""
    with running_network(Path(os.environ["LIGHTPHON_TEST_REGTEST"]), tmp_path_factory.mktemp("network")) as network:
        yield network


SETTINGS = """
[pricing]
per_request = 5000
house_bps = 1000

[payouts]
daily = 5_000_000
daily_of_all = 50_000_000

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
    owed_before: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.before = {node.name: node.has() for node in self.network.nodes}
        self.owed_before = self.owed()

    def gained(self, node: ElectrumNode) -> int:
        return node.has() - self.before[node.name]

    def owed(self) -> int:
        """Millisatoshi that the wallet holds for us, as the ledger has it, whose books are right."""
        with self._database() as database, database.snapshot() as connection:
            assert verify(connection) == []
            balance, _ = balances_of(connection, ["clearing:lightning"]).get("clearing:lightning", (0, 0))
        return -balance

    def check(self) -> None:
        """The books are right, and to the millisatoshi what the wallets gained and lost. Nothing is lost on the way."""
        assert self.owed() - self.owed_before == self.gained(self.network.house)
        assert sum(self.gained(node) for node in self.network.nodes) == 0

    def give(self, customer: Customer, sats: int) -> None:
        """Money that can be withdrawn, and came in by another way than this wallet."""
        account = customer.person.ask("GET", "/api/account")["id"]
        posting = Posting("clearing:elsewhere", wallet(account, Origin.LIGHTNING), sats * 1000)
        with self._database() as database, database.transaction() as connection:
            carry_out(connection, [Post("deposit", "elsewhere", account, (posting,))])

    def _database(self) -> Database:
        return Database(f"sqlite:///{self.server.data_dir}/lightphon.db")


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
            return found if found["status"] in states else None

        return until(there, f"a payout is {' or '.join(states)}")

    def has(self) -> int:
        """Millisatoshi in the wallet here."""
        found: int = self.person.ask("GET", "/api/wallet")["available_msat"]
        return found


@pytest.fixture(scope="session")
def _server(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = SETTINGS.format(url=network.house.rpc.url, user=USER)
    with ServerProcess(tmp_path_factory.mktemp("server"), settings, {"ELECTRUM_PASSWORD": PASSWORD}) as server:
        yield server


@pytest.fixture
def server(_server: ServerProcess) -> ServerProcess:
    """A gateway whose wallet is the house's, shared; it runs, whatever the test before did to it."""
    if not _server.runs:
        _server.start()
    return _server


@pytest.fixture
def books(server: ServerProcess, network: Network) -> Books:
    return Books(server, network)


@pytest.fixture
def ann(server: ServerProcess, network: Network) -> Customer:
    return Customer(server.register(f"ann-{next(_NUMBERS)}"), network)


@pytest.fixture
def owner(server: ServerProcess, network: Network) -> Customer:
    """Somebody who runs a node."""
    return Customer(server.register(f"owner-{next(_NUMBERS)}"), network)


_NUMBERS = count(1)
