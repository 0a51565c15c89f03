"""The demo wallet on a whole server: play money is paid in over HTTP and by the command, and credited once."""

import asyncio
import json
import time

import httpx
import pytest
from click.testing import CliRunner
from lightphon_payment_lightning import invoices
from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.plugin import Lightning
from lightphon_payment_lightning.wallets.demo import Demo, DemoSettings

from lightphon_core import Event, Failed, Gone, InvalidRequest, NewDeposit, Paid, Payment, Settled, Waiting
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.cli.group import ErrorsAsOneLine
from lightphon_core.plugins import Source
from lightphon_core.settings import PluginsSettings
from lightphon_core.testing import host_for

SOURCE = Source("lightning", "lightphon-payment-lightning", "0", lambda: Lightning)
DEMO = PluginsSettings(tables={"lightning": {"wallet": "demo"}})


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    with run_server(tmp_path_factory.mktemp("demo"), SOURCE, plugins=DEMO) as running:
        yield running


@pytest.fixture
def client(running):
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {running.api_key}"}) as client:
        yield client


def deposited(client, amount=1_000):
    answer = client.post("/api/deposits", json={"provider": "lightning", "amount_sats": amount})
    assert answer.status_code == 201, answer.text
    return answer.json()


def until_settled(client, deposit):
    """The server pushes: the stream of events ends when it is settled."""
    with client.stream("GET", f"/api/deposits/{deposit['id']}/events", timeout=20) as events:
        last = [line for line in events.iter_lines() if line.startswith("data:")][-1]
    return json.loads(last.removeprefix("data:"))


def test_a_deposit_of_play_money(client):
    before = client.get("/api/wallet").json()["available_msat"]
    deposit = deposited(client)
    assert deposit["invoice"].startswith("lnbcrt10u1")
    assert deposit["play_money"] is True
    (way,) = client.get("/api/deposits/providers").json()["data"]
    assert way["test_pay_path"] == "/api/demo-wallet/pay"
    paid = client.post(way["test_pay_path"], json={"invoice": deposit["invoice"].upper()})
    assert paid.json() == {"status": "paid", "amount_msat": 1_000_000, "play_money": True}
    assert until_settled(client, deposit)["status"] == "settled"
    assert client.get("/api/wallet").json()["by_origin_msat"] == {"lightning": before + 1_000_000}

    again = client.post("/api/demo-wallet/pay", json={"invoice": deposit["invoice"]})
    assert (again.status_code, again.json()["error"]["param"]) == (400, "invoice")
    assert "already" in again.json()["error"]["message"]
    assert client.get("/api/wallet").json()["available_msat"] == before + 1_000_000


def test_the_command_pays(client, running):
    environ = {"LIGHTPHON_URL": running.url, "LIGHTPHON_API_KEY": running.api_key}

    cli = ErrorsAsOneLine("lightphon")
    Lightning.register_commands(cli)

    def run(*arguments):
        return CliRunner().invoke(cli, ["demo-wallet", *arguments], env=environ)

    deposit = deposited(client, 7)
    done = run("pay", deposit["invoice"])
    assert (done.exit_code, done.stdout) == (0, "Paid 7 sats of play money.\n"), done.output
    assert until_settled(client, deposit)["received_msat"] == 7_000
    again = run("pay", deposit["invoice"])
    assert again.exit_code != 0
    assert "already" in again.output
    drawn = run("invoice", "21")
    found = invoices.decode(drawn.stdout.strip())
    assert (found.network, found.invoice.amount) == (Network.REGTEST, 21_000)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("pay", b""),
        ("pay", b"[]"),
        ("pay", b"{"),
        ("pay", b'{"invoice": 7}'),
        ("pay", b'{"invoice": "lnbcrt1"}'),
        ("pay", b'{"invoice": "x", "amount": 1}'),
        ("invoice", b'{"amount_sats": 0}'),
        ("invoice", b'{"amount_sats": -1}'),
        ("invoice", b'{"amount_sats": 1.0}'),
        ("invoice", b'{"amount_sats": true}'),
        ("invoice", b'{"amount_sats": 100000001}'),
    ],
)
def test_what_the_demo_wallet_refuses(client, path, body):
    answer = client.post(f"/api/demo-wallet/{path}", content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_strangers_do_not_pay(running, client):
    deposit = deposited(client)
    for path, body in (("pay", {"invoice": deposit["invoice"]}), ("invoice", {"amount_sats": 1})):
        assert httpx.post(f"{running.url}/api/demo-wallet/{path}", json=body).status_code == 401
    assert client.get(f"/api/deposits/{deposit['id']}").json()["status"] == "open"
    long = client.post("/api/demo-wallet/pay", content=b'{"invoice": "' + b"x" * 20_000 + b'"}')
    assert long.status_code == 413


def test_a_page_of_ours_pays_with_its_session(client, running):
    """A button needs no key. Another site's page has none of it."""
    with running.server.database.transaction() as connection:
        account = create_account(connection, "somebody", now=time.time())
        token = open_session(connection, account.id, now=time.time(), lifetime_s=60, recent_s=60)
    deposit = deposited(client)
    statuses = [
        httpx.post(
            f"{running.url}/api/demo-wallet/pay",
            json={"invoice": deposit["invoice"]},
            headers={"cookie": f"{COOKIE}={token}", **({"origin": origin} if origin else {})},
        ).status_code
        for origin in ("https://evil.example", None, running.url)
    ]
    assert statuses == [403, 403, 200]


class Clock:
    time = 1_700_000_000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


@pytest.fixture
def wallet():
    return Demo(DemoSettings(), host_for(None, clock=Clock()))


def refused(call, *arguments):
    with pytest.raises(InvalidRequest) as error:
        call(*arguments)
    return error.value.message


async def test_invoices_live_and_die(wallet):
    text = await wallet.invoice(NewDeposit("dep_1", 5_000, "memo", 60))
    assert await wallet.invoice(NewDeposit("dep_1", 5_000, "memo", 60)) == text
    ref = invoices.decode(text).invoice.ref
    assert await wallet.received(ref) == Waiting()
    wallet._clock.time += 60
    assert await wallet.received(ref) == Gone()
    assert await wallet.received("00" * 32) == Gone()
    assert "expired" in refused(wallet.pay_in, text)
    other = await Demo(DemoSettings(), host_for(None, clock=Clock())).invoice(NewDeposit("dep_1", 5_000, "memo", 60))
    assert "not of the demo wallet" in refused(wallet.pay_in, other)
    assert "not of the demo wallet" in refused(wallet.pay_in, wallet.outside(1_000))


async def test_every_reader_hears_of_a_settlement(wallet):
    text = await wallet.invoice(NewDeposit("dep_1", 5_000, "memo", 60))
    readers = [wallet.settlements(None) for _ in range(2)]
    heard = [asyncio.ensure_future(anext(reader)) for reader in readers]
    await asyncio.sleep(0)  # each is waiting now
    assert wallet.pay_in(text) == 5_000
    ref = invoices.decode(text).invoice.ref
    async with asyncio.timeout(10):
        assert await asyncio.gather(*heard) == [Event(Settled(ref, 5_000), None)] * 2
    for reader in readers:
        await reader.aclose()


async def test_what_is_paid_out_is_paid_once(wallet):
    text = wallet.outside(9_000)
    ref = invoices.decode(text).invoice.ref
    payment = Payment("pay_1", ref, text, 9_000, 10)
    assert [await wallet.pay(payment), await wallet.pay(payment)] == [Paid(0), Paid(0)]
    assert [each.ref for each in await wallet.payments(0)] == [ref]

    own = await wallet.invoice(NewDeposit("dep_1", 5_000, "memo", 60))
    wallet.pay_in(own)
    paid_before = Payment("pay_2", invoices.decode(own).invoice.ref, own, 5_000, 10)
    assert isinstance(await wallet.pay(paid_before), Failed)
