"""Deposits that are paid in euros: what is locked on them, over HTTP and on the page to which a payer returns."""

import json
import threading
import time
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import select, update
from structlog.testing import capture_logs

from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.sessions import SECURE_COOKIE, open_session
from lightphon_core.cli import build
from lightphon_core.errors import InvalidRequest, RateUnavailable, SettingsError
from lightphon_core.money import Cents
from lightphon_core.payments.deposits.deposit import Status
from lightphon_core.rates.quotes import quote_at
from lightphon_core.settings import DepositSettings, PricingSettings, RateSettings, ServerSettings
from lightphon_core.storage.payment_tables import deposits as deposits_table
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.scripted import says
from lightphon_core.types import Fiat, NewDeposit, Origin
from lightphon_core.web.pages.frame.security import CONTENT_SECURITY_POLICY

PRICE = Fiat("EUR", 1250)
FIXED = RateSettings(fixed=Cents(6_000_000))


def card(name="card", **more):
    return ScriptedPayments(name, currency="EUR", origin=Origin.CARD, **more)


class TestOpening:
    async def test_price_and_rate_are_locked(self, make_desk):
        rates = [Decimal("60000.00"), Decimal("50000.00")]
        desk = make_desk(card(), quote=lambda price: quote_at(price, rates.pop(0)), public_url="https://x.example/gw/")
        first, second = await desk.open(PRICE), await desk.open(PRICE)
        assert (first.amount, first.price, first.rate) == (20_833_333, PRICE, Decimal("60000.00"))
        assert (second.amount, second.price, second.rate) == (25_000_000, PRICE, Decimal("50000.00"))
        assert await desk.again(first) == first
        asked = desk.provider.asked[0]
        page = f"https://x.example/gw/deposits/{first.id}"
        assert asked == NewDeposit(first.id, 20_833_333, f"Deposit {first.id}", 3_600, PRICE, page)

    async def test_without_a_public_url_there_is_no_page(self, make_desk):
        desk = make_desk(card(), quote=partial(quote_at, rate=Decimal(60_000)))
        await desk.open(PRICE)
        assert desk.provider.asked[0].return_url is None

    async def test_without_a_rate_nothing_is_stored(self, make_desk):
        desk = make_desk(card())
        with pytest.raises(RateUnavailable):
            await desk.open(PRICE)
        assert await desk.deposits.list(desk.account, limit=9) == []
        assert desk.provider.asked == []

    @pytest.mark.parametrize(
        ("provider", "asked", "said", "param"),
        [
            (card(), 5_000, "'card' is paid in EUR: send amount_eur", "amount_sats"),
            (ScriptedPayments("lightning"), PRICE, "'lightning' is not paid in EUR: send amount_sats", "amount_eur"),
            (card(), Fiat("USD", 1250), "not paid in USD", "amount_eur"),
            (card(), Fiat("EUR", 499), r"from 5\.00 to 12\.50 EUR here, not 4\.99", "amount_eur"),
            (card(), Fiat("EUR", 1251), r"not 12\.51", "amount_eur"),
        ],
    )
    async def test_what_the_provider_or_the_operator_does_not_take(self, make_desk, provider, asked, said, param):
        desk = make_desk(provider, quote=partial(quote_at, rate=Decimal(60_000)), least_eur=500, most_eur=1250)
        with pytest.raises(InvalidRequest, match=said) as refused:
            await desk.open(asked)
        assert refused.value.param == param
        assert provider.asked == []


@pytest.fixture(scope="module")
def providers():
    return [ScriptedPayments("lightning"), card()]


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory, providers):
    with run_server(
        tmp_path_factory.mktemp("euros"),
        plugin_of(ScriptedBackend(says("Hello")), *providers),
        rates=FIXED,
        deposits=DepositSettings(most_open=100),
        pricing=PricingSettings(per_request=10**9),
        server=ServerSettings(public_url="https://gateway.example", allowed_hosts=("127.0.0.1",)),
    ) as running:
        yield running


@pytest.fixture
def client(running):
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=20) as client:
        yield client


class TestOverHttp:
    @pytest.mark.parametrize("amount", ["12.50", "12.5", 12.5, "012.5"])
    def test_as_text_or_number(self, client, providers, amount):
        made = client.post("/api/deposits", json={"provider": "card", "amount_eur": amount})
        assert made.status_code == 201
        deposit = made.json()
        shown = {name: deposit[name] for name in ("amount_msat", "amount_sats", "price_cents", "currency", "rate")}
        assert shown == {
            "amount_msat": 20_833_333,
            "amount_sats": 20_833,
            "price_cents": 1250,
            "currency": "EUR",
            "rate": "60000.00",
        }
        assert (deposit["status"], deposit["clawed_back_msat"]) == ("open", 0)
        asked = providers[1].asked[-1]
        assert asked.id == deposit["id"]
        assert asked.price == PRICE
        assert asked.return_url == f"https://gateway.example/deposits/{deposit['id']}"
        assert client.get(f"/api/deposits/{deposit['id']}").json() == deposit

    @pytest.mark.parametrize(
        "amount",
        [
            *("12.505", "12.500", "1e1", "NaN", "Infinity", "-5", "0", "", "12,50", "0.99", "200.01", "9" * 400),
            *(12.505, 0, -5, 1e300, True, [12], {"cents": 1}),
        ],
    )
    def test_what_is_no_amount(self, client, providers, amount):
        before = providers[1].refs
        answer = client.post("/api/deposits", json={"provider": "card", "amount_eur": amount})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "amount_eur"
        assert providers[1].refs == before

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"provider": "card", "amount_sats": 100}, "amount_sats"),
            ({"provider": "lightning", "amount_eur": "5"}, "amount_eur"),
            ({"provider": "card", "amount_sats": 100, "amount_eur": "5"}, "amount_eur"),
            ({"provider": "card"}, "amount_sats"),
            ({"amount_eur": "5"}, "provider"),
        ],
    )
    def test_one_of_the_two_as_the_provider_needs(self, client, body, param):
        before = client.get("/api/deposits").json()
        answer = client.post("/api/deposits", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert client.get("/api/deposits").json() == before

    def test_the_ways_to_pay(self, client):
        euros, sats = client.get("/api/deposits/providers").json()["data"]
        assert {name: euros[name] for name in euros if name not in ("play_money", "test_pay_path")} == {
            "name": "card",
            "currency": "EUR",
            "least_sats": None,
            "most_sats": None,
            "least_eur": "1.00",
            "most_eur": "200.00",
        }
        assert (sats["currency"], sats["least_sats"], sats["least_eur"]) == (None, 1, None)

    def test_a_402_names_what_is_paid_in_sats_first(self, client):
        short = client.post(
            "/v1/chat/completions", json={"model": "auto", "messages": [{"role": "user", "content": "x"}]}
        )
        assert '{"amount_sats": 1000, "provider": "lightning"}' in short.json()["error"]["message"]
        assert short.json()["error"]["message"].endswith("lightphon deposit open 1000 --provider lightning.")

    def test_wallets_are_shown_in_euros_too(self, client, providers):
        before = client.get("/api/wallet").json()
        assert (before["available_msat"], before["approx_eur"]) == (0, "0.00")
        deposit = client.post("/api/deposits", json={"provider": "lightning", "amount_sats": 10_000}).json()
        providers[0].pay(providers[0].refs[-1])
        with client.stream("GET", f"/api/deposits/{deposit['id']}/events") as stream:
            stream.read()  # until it is settled
        assert client.get("/api/wallet").json()["approx_eur"] == "6.00"

    def test_the_command(self, running, providers):
        env = {"LIGHTPHON_URL": running.url, "LIGHTPHON_API_KEY": running.api_key}

        def run(*words):
            return CliRunner(env=env).invoke(build(), ["deposit", "open", *words])

        done = run("--eur", "12.50", "--provider", "card")
        assert done.exit_code == 0, done.output
        assert "of 12.50 EUR for 20833 sats is open" in done.output
        assert providers[1].asked[-1].price == PRICE
        assert json.loads(run("--eur", "7", "--provider", "card", "--json").stdout)["price_cents"] == 700
        for words in ((), ("7", "--eur", "7")):
            done = run(*words)
            assert (done.exit_code, "either how many sats" in done.output) == (2, True)
        assert "no finer than 0.01" in run("--eur", "1.999", "--provider", "card").output


def test_what_sources_say_is_locked(start_server):
    """All the way from strangers' answers to the deposit; the third one lies."""
    said = {
        "/kraken": b'{"error": [], "result": {"XXBTZEUR": {"c": ["60000.00", "1"]}}}',
        "/mempool": b'{"EUR": 60500}',
        "/coinbase": b'{"data": {"amount": "1.01"}}',
    }

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said[self.path])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as strangers:
        threading.Thread(target=strangers.serve_forever).start()
        try:
            urls = {path[1:]: f"http://127.0.0.1:{strangers.server_port}{path}" for path in said}
            settings = RateSettings(sources=tuple(urls), urls=urls, spread_bps=100)
            running = start_server(plugin_of(card()), rates=settings)
            running.server.call(running.server._app.state.rates.refresh())
            headers = {"authorization": f"Bearer {running.api_key}"}
            made = httpx.post(running.url + "/api/deposits", json={"amount_eur": "12.50"}, headers=headers).json()
        finally:
            strangers.shutdown()
    assert (made["rate"], made["amount_msat"]) == ("60600.00", 20_627_062)  # 20,627,062.7


class TestPage:
    def test_tells_what_the_database_has(self, client, providers, running):
        deposit = client.post("/api/deposits", json={"provider": "card", "amount_eur": "12.50"}).json()
        page = f"{running.url}/deposits/{deposit['id']}"
        waiting = httpx.get(page, params={"status": "paid", "amount": "<script>9999</script>"})
        assert waiting.status_code == 200
        assert waiting.headers["content-type"] == "text/html; charset=utf-8"
        assert waiting.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert waiting.headers["x-content-type-options"] == "nosniff"
        assert waiting.headers["referrer-policy"] == "no-referrer"
        assert waiting.headers["cache-control"] == "no-store"
        assert "<h1>Waiting for the payment</h1>" in waiting.text
        assert "12.50 EUR for 20\u202f833.333 sats" in waiting.text
        assert '<noscript><meta http-equiv="refresh"' in waiting.text
        assert "needs JavaScript" not in waiting.text
        for secret in ("9999", "acc_", "/wallet?", "https://pay.example.org", providers[1].refs[-1]):
            assert secret not in waiting.text

    @pytest.mark.parametrize("status", Status)
    def test_has_words_for_each_status(self, client, running, status):
        deposit = client.post("/api/deposits", json={"provider": "lightning", "amount_sats": 7}).json()
        with running.server.database.transaction() as connection:
            connection.execute(update(deposits_table).values(state=status.value))
        shown = httpx.get(f"{running.url}/deposits/{deposit['id']}")
        assert ">7 sats</p>" in shown.text
        waits = status in (Status.CREATING, Status.OPEN)
        assert [part in shown.text for part in ('http-equiv="refresh"', "data-live")] == [waits, waits]
        assert ("<h1>Paid</h1>" in shown.text) == (status is Status.SETTLED)

    @pytest.mark.parametrize(
        "name",
        ["dep_" + "0" * 24, "dep_x", "%3Cb%3E", f"dep_{'0' * 24}%0A", "%00", "x" * 5_000, "dep_" + "%D9%A1" * 24],
    )
    def test_unknown_ones(self, running, name):
        answer = httpx.get(f"{running.url}/deposits/{name}")
        assert answer.status_code == 404
        assert "There is no deposit at this address." in answer.text
        assert "<b>" not in answer.text
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY

    def test_play_money_says_so(self, start_server):
        play = ScriptedPayments("play", play_money=True)
        running = start_server(plugin_of(play))
        headers = {"authorization": f"Bearer {running.api_key}"}
        made = httpx.post(running.url + "/api/deposits", json={"amount_sats": 7}, headers=headers).json()
        assert "play money" in httpx.get(f"{running.url}/deposits/{made['id']}").text

    def test_its_owner_is_shown_the_way_to_the_wallet(self, client, running):
        """And nobody else, logged in or not; each sees their own name in the frame, and no other."""
        deposit = client.post("/api/deposits", json={"provider": "lightning", "amount_sats": 7}).json()
        with running.server.database.transaction() as connection:
            owner = connection.scalar(select(deposits_table.c.account_id).where(deposits_table.c.id == deposit["id"]))
            stranger = create_account(connection, "stranger", now=time.time()).id
            sessions = [
                open_session(connection, account, now=time.time(), lifetime_s=60, recent_s=0)
                for account in (owner, stranger)
            ]
        page = f"{running.url}/deposits/{deposit['id']}"
        own, other = (httpx.get(page, headers={"cookie": f"{SECURE_COOKIE}={session}"}).text for session in sessions)
        back = f"/wallet?deposit={deposit['id']}"
        assert (back in own, back in other) == (True, False)
        assert ('data-account="stranger"' in other, "stranger" in own) == (True, False)

    def test_no_other_method(self, running):
        assert httpx.post(f"{running.url}/deposits/dep_{'0' * 24}").status_code == 405


def test_without_a_rate_card_deposits_are_refused(start_server):
    provider = card()
    urls = {"kraken": "http://127.0.0.1:1/", "mempool": "http://127.0.0.1:1/"}
    running = start_server(plugin_of(provider), rates=RateSettings(sources=tuple(urls), urls=urls))
    headers = {"authorization": f"Bearer {running.api_key}"}
    answer = httpx.post(running.url + "/api/deposits", json={"amount_eur": "5"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "rate_unavailable")
    assert answer.headers["retry-after"] == "60"
    assert provider.asked == []
    assert httpx.get(running.url + "/api/wallet", headers=headers).json()["approx_eur"] is None


@pytest.mark.parametrize("display", [False, True])
def test_without_cards_and_display_nobody_is_asked(start_server, display):
    urls = {"kraken": "http://127.0.0.1:1/", "mempool": "http://127.0.0.1:1/"}
    settings = RateSettings(display=display, sources=tuple(urls), urls=urls)
    with capture_logs() as logs:
        running = start_server(plugin_of(ScriptedPayments()), rates=settings)
        rates = running.server._app.state.rates
        running.server.call(rates.refresh() if display else rates.keep())
    assert any(entry.get("source") for entry in logs) is display


def test_a_currency_without_a_rate_starts_no_server(run_server, tmp_path):
    dollars = ScriptedPayments("dollars", currency="USD")
    with (
        pytest.raises(SettingsError, match="'dollars' is paid in USD, and only the rate of EUR is known"),
        run_server(tmp_path / "data", plugin_of(dollars)),
    ):
        pass
