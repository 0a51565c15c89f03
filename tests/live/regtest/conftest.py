"""A real Lightning network on regtest: bitcoind, ElectrumX, and three Electrum wallets in a row.

    house ──── hub ──── person

The gateway's wallet is the house's, and what it pays to the person goes through the hub, which takes a fee for it.
`.ci/regtest-tests` brings the programs, and says where.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, field, frozen

from lightphon_core.testing.process import Person, ServerProcess, free_port, until

STARTS_WITHIN_S = 60.0
CREDENTIALS = ("someone", "something")
CHANNEL_SATS = 2_000_000
PUSHED_SATS = 1_000_000
EXPIRED = 1
"""The status of a request in Electrum."""


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """As `until`; that a program which is starting, or busy, cannot be asked is waited out too."""

    def tried() -> Any:
        try:
            return condition()
        except (httpx.HTTPError, OSError, RefusedRpcError):
            return None

    return until(tried, what, STARTS_WITHIN_S)


@frozen
class HoldInvoice:
    """An invoice whose payee decides after the payment has come: until then it is under way."""

    text: str
    payment_hash: str
    preimage: str = field(repr=False)


class RefusedRpcError(RuntimeError):
    """A program answered that it cannot do what it was asked to."""


class Rpc:
    """A program that speaks JSON-RPC over HTTP, as bitcoind and Electrum do."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.user, self.password = CREDENTIALS
        self._http = httpx.Client(auth=CREDENTIALS, timeout=timeout_s, trust_env=False)

    def call(self, method: str, **params: Any) -> Any:
        answer = self._http.post(self.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        if answer.get("error"):
            raise RefusedRpcError(answer["error"]["message"])
        return answer["result"]

    def close(self) -> None:
        self._http.close()


class Programs:
    """What runs, each with a log of its own, until `close`."""

    def __init__(self, kit: Path, folder: Path) -> None:
        self.kit = kit
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: list[str | Path], **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            popen = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environ})
        self._running.append(popen)
        return popen

    def close(self) -> None:
        for popen in reversed(self._running):
            popen.terminate()
        for popen in self._running:
            try:
                popen.wait(20)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()

    def memory_mb(self) -> int:
        """What those that run have in memory together."""
        found = 0
        for popen in self._running:
            if popen.poll() is None:
                status = Path(f"/proc/{popen.pid}/status").read_text()
                found += int(status.partition("VmRSS:")[2].split()[0])
        return found // 1024


class Chain:
    """bitcoind, whose miner has coins, and an ElectrumX that follows it."""

    def __init__(self, programs: Programs) -> None:
        port, self.electrumx_port = free_port(), free_port()
        data = programs.folder / "bitcoin"
        data.mkdir()
        user, password = CREDENTIALS
        programs.start(
            "bitcoind",
            [
                programs.kit / "bitcoind",
                *(f"-datadir={data}", "-regtest", "-server", "-txindex", "-disablewallet=0", "-fallbackfee=0.0002"),
                *(f"-rpcuser={user}", f"-rpcpassword={password}", f"-rpcport={port}", "-rpcallowip=127.0.0.1"),
                *("-rpcbind=127.0.0.1", "-listen=0", "-dnsseed=0", "-discover=0", "-dbcache=16"),
            ],
        )
        self.rpc = Rpc(port)
        eventually(lambda: self.rpc.call("getblockcount") is not None, "bitcoind answers")
        self.rpc.call("createwallet", wallet_name="miner")
        self._address = self.rpc.call("getnewaddress")
        self.mine(101)
        programs.start(
            "electrumx",
            [programs.kit / "python/bin/electrumx_server"],
            COIN="Bitcoin",
            NET="regtest",
            DB_ENGINE="leveldb",
            DB_DIRECTORY=str(programs.folder),
            DAEMON_URL=f"http://{user}:{password}@127.0.0.1:{port}/",
            SERVICES=f"tcp://127.0.0.1:{self.electrumx_port}",
            PEER_DISCOVERY="off",
            PEER_ANNOUNCE="",
            ALLOW_ROOT="1",
            COST_SOFT_LIMIT="0",
            COST_HARD_LIMIT="0",
            CACHE_MB="32",
            # Milliseconds between looks at bitcoind: with the five seconds that are usual a channel opens after a minute.
            DAEMON_POLL_INTERVAL_BLOCKS="200",
            DAEMON_POLL_INTERVAL_MEMPOOL="200",
        )

    def mine(self, blocks: int) -> None:
        self.rpc.call("generatetoaddress", nblocks=blocks, address=self._address)

    def send(self, address: str, bitcoins: int) -> None:
        self.rpc.call("sendtoaddress", address=address, amount=bitcoins)


@define
class ElectrumNode:
    """An Electrum daemon with one Lightning wallet, which may be stopped and started."""

    name: str
    programs: Programs
    port: int = field(factory=free_port)
    lightning_port: int = field(factory=free_port)
    popen: subprocess.Popen[bytes] | None = None
    rpc: Rpc = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rpc = Rpc(self.port)

    def prepare(self, chain: Chain) -> None:
        home = self.programs.folder / self.name / "regtest"
        home.mkdir(parents=True)
        settings = {
            "config_version": 3,
            "server": f"127.0.0.1:{chain.electrumx_port}:t",
            "oneserver": True,
            "auto_connect": False,
            "check_updates": False,
            "use_gossip": True,
            "rpchost": "127.0.0.1",
            "rpcport": self.port,
            "rpcuser": CREDENTIALS[0],
            "rpcpassword": CREDENTIALS[1],
            "lightning_listen": f"127.0.0.1:{self.lightning_port}",
            "lightning_forward_payments": self.name == "hub",
        }
        (home / "config").write_text(json.dumps(settings))

    def start(self) -> None:
        """Start the daemon; it takes up its connections by itself."""
        kit, home = self.programs.kit, self.programs.folder / self.name
        self.popen = self.programs.start(self.name, [kit / "electrum", "--regtest", "-D", home, "daemon"])
        eventually(lambda: self.call("getinfo")["connected"], f"{self.name} is connected")
        if not (home / "regtest" / "wallets" / "default_wallet").exists():
            self.call("create")
        self.call("load_wallet")

    def stop(self) -> None:
        assert self.popen is not None
        self.popen.terminate()
        self.popen.wait(30)

    def call(self, method: str, **params: Any) -> Any:
        return self.rpc.call(method, **params)

    def invoice(self, sats: int, expires_in_s: int = 3600) -> str:
        made = self.call(
            "add_request", amount=f"{sats / 100_000_000:.8f}", memo="", expiry=expires_in_s, lightning=True
        )
        invoice: str = made["lightning_invoice"]
        return invoice

    def hold_invoice(self, sats: int) -> HoldInvoice:
        preimage = os.urandom(32)
        payment_hash = hashlib.sha256(preimage).hexdigest()
        made = self.call("add_hold_invoice", payment_hash=payment_hash, amount=f"{sats / 100_000_000:.8f}")
        return HoldInvoice(made["invoice"], payment_hash, preimage.hex())

    def holds(self, invoice: HoldInvoice) -> bool:
        """Whether its money has come, and is neither taken nor refused."""
        status: str = self.call("check_hold_invoice", payment_hash=invoice.payment_hash)["status"]
        return status == "paid"

    def settle(self, invoice: HoldInvoice) -> None:
        self.call("settle_hold_invoice", preimage=invoice.preimage)

    def cancel(self, invoice: HoldInvoice) -> None:
        self.call("cancel_hold_invoice", payment_hash=invoice.payment_hash)

    def pay(self, invoice: str) -> bool:
        paid: bool = self.call("lnpay", invoice=invoice)["success"]
        return paid

    def has(self) -> int:
        """Millisatoshi that all its payments together have brought, fees included: below 0 where more has left."""
        return sum(each["amount_msat"] for each in self.call("lightning_history") if each["type"] == "payment")

    def channels_hold(self) -> int:
        """Satoshi of its own in all its channels, rounded down by each."""
        return sum(each["local_balance"] for each in self.call("list_channels"))

    def is_open(self) -> bool:
        """Whether all its channels can be used."""
        channels = self.call("list_channels")
        return bool(channels) and all((each["state"], each["peer_state"]) == ("OPEN", "GOOD") for each in channels)


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

    def wait_until_expired(self, invoice: str) -> None:
        """Wait until the person's own wallet calls its invoice expired."""
        eventually(lambda: self._status(invoice) == EXPIRED, "an invoice has expired")

    def _status(self, invoice: str) -> int:
        requests = self.person.call("list_requests")
        status: int = next(each["status"] for each in requests if each["lightning_invoice"] == invoice)
        return status

    def ready(self) -> None:
        """Wait until every channel can be used again."""
        for node in self.nodes:
            eventually(node.is_open, f"the channels of {node.name} are open")


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """House and person can pay one another about a million sats."""
    with ExitStack() as stack:
        programs = Programs(Path(os.environ["LIGHTPHON_TEST_REGTEST"]), tmp_path_factory.mktemp("network"))
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
            eventually(lambda node=node: float(node.call("getbalance").get("confirmed", 0)) >= 1, "the coins are there")
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
        assert "The books are right." in self.server.command("ledger", "verify")
        assert -self.balance("clearing:lightning") == self.gained(self.network.house)
        assert sum(self.gained(node) for node in self.network.nodes) == 0

    def balance(self, account: str) -> int:
        """Millisatoshi of an account of the ledger, by its name there."""
        found: int = json.loads(self.server.command("ledger", "show", account, "--json"))["balance_msat"]
        return found


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
    settings = SETTINGS.format(url=network.house.rpc.url, user=CREDENTIALS[0])
    with ServerProcess(tmp_path, settings, {"ELECTRUM_PASSWORD": CREDENTIALS[1]}) as server:
        yield server


@pytest.fixture
def books(server: ServerProcess, network: Network) -> Books:
    return Books(server, network)
