"""A whole gateway that takes cards, with a Stripe of ours, or with the emulator that `.ci/card-tests` brings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, field
from lightphon_payment_card.testing.account import SECRET_KEY, WEBHOOK_SECRET, Account, Object, event, signed
from lightphon_payment_card.testing.server import StripeServer

from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.statement import balances_of
from lightphon_core.plugins import installed
from lightphon_core.settings import load
from lightphon_core.testing import LiveServer
from lightphon_core.testing.process import PASSWORD, Person, free_port

from .emulated import EmulatedAccount, emulator

SETTINGS = """
data_dir = "{data}"

[server]
public_url = "{url}"

[accounts]
registration = "open"

[rates]
fixed = "50000.00"

[plugins.card]
secret_key = {{ env = "STRIPE_KEY" }}
webhook_secret = {{ env = "STRIPE_WEBHOOK_SECRET" }}
api_base = "{stripe}"
"""
SECRETS = {"STRIPE_KEY": SECRET_KEY, "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET}
MSAT_PER_CENT = 20_000
"""At the rate above."""


@define
class House:
    """The gateway, its Stripe, and a client of webhooks. `credited`: msat that all tests say were, and stayed so."""

    server: LiveServer
    stripe: StripeServer
    emulated: bool
    _http: httpx.Client = field(repr=False)
    credited: int = 0

    @property
    def account(self) -> Account:
        return self.stripe.account

    def call(self, headers: Mapping[str, str], body: bytes) -> int:
        """Somebody calls the webhook. The status of the answer."""
        return self._http.post("/webhooks/card", headers=dict(headers), content=body).status_code

    def told(self, kind: str, about: Object) -> None:
        """Stripe tells of something that has happened to this object."""
        assert self.call(*signed(event(kind, about))) == 200

    def pays(self, deposit: Any) -> Object:
        """Somebody pays at the page, and Stripe tells of it. The charge."""
        ref = ref_of(deposit)
        if not self.emulated:
            charge = self.account.pay(ref)
            self.told("checkout.session.completed", self.account.session(ref))
            return charge
        with httpx.Client(trust_env=False) as browser:
            page = browser.get(deposit["checkout_url"])
            assert "12.50" in page.text
            done = browser.post(f"{deposit['checkout_url']}/complete")
        assert done.headers["location"] == self.page(deposit)
        return self.account.charged(self.account.session(ref))

    def page(self, deposit: Any) -> str:
        """Where Stripe's page leads back to."""
        return f"{self.server.url}/deposits/{deposit['id']}"

    def shows(self, deposit: Any) -> str:
        """What a browser sees there."""
        return self._http.get(self.page(deposit)).text

    def check(self) -> None:
        """The books are right, and Stripe owes what was credited."""
        with self.server.database.snapshot() as connection:
            assert verify(connection) == []
            held, _ = balances_of(connection, ["clearing:card"]).get("clearing:card", (0, 0))
        assert -held == self.credited


@define
class Customer:
    """Somebody with an account at the gateway."""

    person: Person
    house: House

    def opens(self, euros: str = "12.50") -> Any:
        return self.person.ask("POST", "/api/deposits", {"provider": "card", "amount_eur": euros})

    def sees(self, deposit: Any) -> Any:
        return self.person.ask("GET", f"/api/deposits/{deposit['id']}")

    def has(self) -> int:
        """Millisatoshi in the wallet."""
        found: int = self.person.ask("GET", "/api/wallet")["available_msat"]
        return found

    def is_credited(self, deposit: Any, amount: int, status: str = "settled") -> None:
        """So much of the deposit is in the wallet, which has no other, and in the books."""
        assert (self.sees(deposit)["status"], self.has()) == (status, amount)
        self.house.check()


def ref_of(deposit: Any) -> str:
    """The id of a deposit's session: pages bear it."""
    ref: str = deposit["checkout_url"].rpartition("/")[2]
    return ref


@pytest.fixture(scope="session", params=["ours", pytest.param("emulated", marks=pytest.mark.card)])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, port = tmp_path_factory.mktemp("card"), free_port()
    url = f"http://127.0.0.1:{port}"
    with StripeServer() as stripe:
        (folder / "lightphon.toml").write_text(SETTINGS.format(data=folder / "data", url=url, stripe=stripe.url))
        sources = [each for each in installed() if each.name == "card"]
        server = LiveServer(load(folder / "lightphon.toml", {}), sources=sources, environ=SECRETS, port=port)
        with server, httpx.Client(base_url=url, trust_env=False) as http:
            if request.param == "ours":
                yield House(server, stripe, False, http)
                return
            npm = str(Path(os.environ["LIGHTPHON_TEST_EMULATE"]).resolve())
            with emulator(npm, f"{url}/webhooks/card") as emulated:
                stripe.account = EmulatedAccount(emulated)
                yield House(server, stripe, True, http)


@pytest.fixture(scope="session")
def customer(house: House) -> Iterator[Callable[[], Customer]]:
    """`customer()`: somebody who is registered, with an empty wallet."""
    numbers, closing = count(1), ExitStack()

    def register() -> Customer:
        person = Person(f"ann-{next(numbers)}", house.server.url)
        closing.callback(person.close)
        person.ask("POST", "/api/account/register", {"name": person.name, "password": PASSWORD})
        return Customer(person, house)

    with closing:
        yield register
