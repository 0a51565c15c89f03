"""A gateway whose wallet is one of a real LNbits, which it reaches through a relay. `.ci/lnbits-tests` brings LNbits,
and says where.

LNbits tells of a payment by its websocket and by a webhook, and is asked about it. For a test of one of them the others
are kept out: the relay refuses the websocket, or lets nothing through that it says; without `public_url` there is no
webhook.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import define, field
from lightphon_payment_lightning.testing.lnbits import LnbitsAccount, RunningLnbits, running_lnbits

from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.statement import balances_of
from lightphon_core.storage.engine import Database
from lightphon_core.testing.process import Person, ServerProcess, until

WEBSOCKET = b"GET /api/v1/ws/"
FUNDS_SATS = 1_000_000

SETTINGS = """
[server]
{public_url}

[deposits]
expiry_s = 60

[plugins.lightning]
wallet = "lnbits"

[plugins.lightning.lnbits]
url = "{url}"
invoice_key = {{ env = "INVOICE_KEY" }}
admin_key = {{ env = "ADMIN_KEY" }}
"""


Websockets = Literal["open", "refused", "mute"]
"""What becomes of them in the relay."""


class Relay:
    """Passes on what comes to `url` to a server on the loopback."""

    def __init__(self, target: str, websockets: Websockets) -> None:
        host, port = target.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._websockets = websockets
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._target) as server:
            self._sockets |= {client, server}
            first = client.recv(65_536)
            is_websocket = first.startswith(WEBSOCKET)
            if is_websocket and self._websockets == "refused":
                return
            server.sendall(first)
            mute = is_websocket and self._websockets == "mute"
            answering = threading.Thread(target=_pass_on, args=(server, client, mute), daemon=True)
            answering.start()
            _pass_on(client, server, False)
            answering.join()
        self._sockets -= {client, server}


def _pass_on(source: socket.socket, to: socket.socket, mute: bool) -> None:
    """Until `source` ends. Where it is `mute`, only the first words are passed on: the answer that opens it."""
    with contextlib.suppress(OSError):
        spoken = False
        while data := source.recv(65_536):
            if not (mute and spoken):
                to.sendall(data)
            spoken = True
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)


@define
class House:
    """The gateway, and its wallet."""

    server: ServerProcess
    lnbits: RunningLnbits
    wallet: LnbitsAccount
    before: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.before = self.lnbits.has(self.wallet)

    def check(self) -> None:
        """The books are right, and to the millisatoshi what the wallet gained and lost."""
        with Database(f"sqlite:///{self.server.data_dir}/lightphon.db") as database, database.snapshot() as connection:
            assert verify(connection) == []
            held, _ = balances_of(connection, ["clearing:lightning"]).get("clearing:lightning", (0, 0))
        assert -held == self.lnbits.has(self.wallet) - self.before


@define
class Customer:
    """Somebody with an account at the gateway, and another wallet in the LNbits."""

    person: Person
    lnbits: RunningLnbits
    wallet: LnbitsAccount

    def opens(self, sats: int) -> Any:
        return self.person.ask("POST", "/api/deposits", {"amount_sats": sats})

    def pays(self, deposit: Any) -> bool:
        return self.lnbits.pay(self.wallet, deposit["invoice"])

    def reaches(self, deposit: Any, status: str, timeout_s: float = 30.0) -> Any:
        path = f"/api/deposits/{deposit['id']}"

        def there() -> Any:
            found = self.person.ask("GET", path)
            return found if found["status"] == status else None

        return until(there, f"the deposit is {status}", timeout_s)

    def ended(self, payout: Any) -> Any:
        """The payout, once it is paid or has failed."""
        path = f"/api/payouts/{payout['id']}"

        def there() -> Any:
            found = self.person.ask("GET", path)
            return found if found["status"] in ("paid", "failed") else None

        return until(there, "a payout has ended")

    def has(self) -> int:
        """Millisatoshi in the wallet here."""
        found: int = self.person.ask("GET", "/api/wallet")["available_msat"]
        return found


@pytest.fixture(scope="session")
def lnbits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLnbits]:
    folder = tmp_path_factory.mktemp("lnbits")
    with running_lnbits(Path(os.environ["LIGHTPHON_TEST_LNBITS"]), folder) as lnbits:
        yield lnbits


@contextmanager
def running_house(
    lnbits: RunningLnbits, folder: Path, websockets: Websockets = "open", *, webhook: bool = False
) -> Iterator[House]:
    wallet = lnbits.wallet("house")
    keys = {"INVOICE_KEY": wallet.invoice_key, "ADMIN_KEY": wallet.admin_key}
    relay = Relay(lnbits.url, websockets)

    def settings(url: str) -> str:
        public_url = f'public_url = "{url}"' if webhook else ""
        return SETTINGS.format(url=relay.url, public_url=public_url)

    try:
        with ServerProcess(folder, settings, keys) as server:
            yield House(server, lnbits, wallet)
    finally:
        relay.close()


@pytest.fixture(scope="session")
def house(lnbits: RunningLnbits, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A gateway that hears the websocket, and is called by no webhook; shared."""
    with running_house(lnbits, tmp_path_factory.mktemp("server")) as house:
        yield house


@pytest.fixture
def start_house(lnbits: RunningLnbits, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """`start_house(websockets, webhook=False)`: a gateway of its own, until the test ends."""
    with ExitStack() as stack:
        yield lambda websockets, **options: stack.enter_context(
            running_house(lnbits, tmp_path / "server", websockets, **options)
        )


@pytest.fixture(scope="session")
def customer(lnbits: RunningLnbits) -> Callable[[House], Customer]:
    """`customer(house)`: somebody who is registered, and has money to pay with."""
    numbers = count(1)

    def register(house: House) -> Customer:
        return Customer(house.server.register(f"ann-{next(numbers)}"), lnbits, lnbits.wallet("ann", FUNDS_SATS))

    return register


@pytest.fixture(scope="session")
def overdue(house: House, customer: Callable[[House], Customer]) -> tuple[Customer, Any]:
    """Somebody with a deposit that nobody pays while it can be paid. It takes a minute to expire, so it is opened with
    the first test that uses it."""
    late = customer(house)
    return late, late.opens(3_000)
