"""/wallet and the pages below it, as the server renders them: over scripted providers, with a rate, and answers that
cost something."""

import re
import time
from html.parser import HTMLParser

import httpx
import pytest

from lightphon_core.ledger import adjustment, chart
from lightphon_core.ledger.commands import Capture, Post, Posting, TakeHold
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import Amount, Cents
from lightphon_core.settings import AccountSettings, DepositSettings, PayoutSettings, PricingSettings, RateSettings
from lightphon_core.testing import ScriptedBackend, ScriptedPayments, plugin_of
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.scripted import says
from lightphon_core.types import Origin
from lightphon_core.web.pages.wallet.page import delay_words
from lightphon_core.web.pages.wallet.statement import LINES

THIN = "\u202f"


class Words(HTMLParser):
    """What a page says to a reader, but for times, and its elements by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.in_time = False
        self.by_id: dict[str, dict[str, str | None]] = {}
        self.feed(page)
        self.text = " ".join(" ".join(self.said).replace(THIN, "").split())

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.in_time = tag == "time"
        if "id" in found:
            self.by_id[found["id"]] = {"tag": tag, **found}

    def handle_endtag(self, tag):
        self.in_time = False

    def handle_data(self, data):
        if not self.in_time:
            self.said.append(data)


@pytest.fixture(scope="module")
def providers():
    card = ScriptedPayments("card", currency="EUR", origin=Origin.CARD)
    return ScriptedPayments("lightning"), card, ScriptedPayouts("lightning", fee=2_000)


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory, providers):
    with run_server(
        tmp_path_factory.mktemp("wallet"),
        plugin_of(ScriptedBackend(says("x")), *providers),
        accounts=AccountSettings(registration="open"),
        pricing=PricingSettings(per_request=Amount(2_500)),
        rates=RateSettings(fixed=Cents(6_000_000)),
        deposits=DepositSettings(most=Amount(10_000_000)),
        payouts=PayoutSettings(daily=Amount(400_000), fee_base=Amount(10_000), fee_bps=100),
    ) as running:
        yield running


def words(client, path="/wallet"):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return Words(answer.text)


@pytest.fixture
def books(running):
    """`books(*commands)`: written to the ledger."""

    def write(*commands):
        with running.server.database.transaction() as connection:
            for answer in carry_out(connection, commands):
                if isinstance(answer, Exception):
                    raise answer

    return write


def account_of(client):
    return re.search(r"acc_\w+", client.get("/api/account").text)[0]


def came(account, amount, origin=Origin.LIGHTNING):
    posting = Posting(chart.clearing("lightning"), chart.wallet(account, origin), amount)
    return Post("deposit", "lightning", f"test {time.monotonic_ns()}", (posting,))


def ended(client, payout):
    """Wait until it was paid."""
    deadline = time.monotonic() + 20
    while client.get(f"/api/payouts/{payout['id']}").json()["status"] != "paid":
        assert time.monotonic() < deadline


def test_an_empty_wallet_says_what_to_do(people):
    page = words(people("newcomer"))
    assert "The wallet is empty, and an answer costs about 2.5 sats. Make a deposit below." in page.text
    assert "Nothing has come or gone yet." in page.text
    assert "From 1 to 10000 sats. Any Lightning wallet can pay them." in page.text
    assert "From 1.00 to 200.00 EUR." in page.text
    assert "1000 sats 5000 sats Show the invoice" in page.text, "not 21000: more than the operator takes"
    assert "5.00 EUR 10.00 EUR 25.00 EUR Go on" in page.text
    assert "hidden" not in page.by_id["balance-low"]


def test_what_there_is_by_origin_and_what_it_is_good_for(people, books):
    client = people("mixed")
    account = account_of(client)
    earned = Posting(chart.HOUSE, chart.earnings(account, Origin.CARD), 7_000)
    books(came(account, 100_000), came(account, 50_500, Origin.CARD), Post("x", "y", "earned by mixed", (earned,)))
    books(adjustment.credit(account, 1_000, "Welcome"), TakeHold("held", account, 500, 500, None, 0, 10**12))
    page = words(client)
    assert "151 sats available, about 0.09 EUR" in page.text
    assert "0.5 sats on hold for answers under way" in page.text
    assert "Granted by the operator To spend; it cannot be withdrawn 1 " in page.text
    assert "Paid by card To spend; it cannot be withdrawn 50.5 " in page.text
    assert "Paid over Lightning To spend and to withdraw 100 " in page.text
    assert "Earned by your nodes" not in page.text
    assert "Your nodes earned 7 sats that were paid by card which are pending" in page.text
    assert "120 days after they were earned, since card payments can be disputed for that long" in page.text
    assert "Credit by the operator Welcome +1" in page.text
    assert "hidden" in page.by_id["balance-low"], "151 sats are 60 answers"


def test_what_is_low_goes_by_what_answers_cost_lately(people, books):
    client = people("heavy")
    account = account_of(client)
    row = {"id": "job_heavy", "account_id": account, "credential_id": "k", "model": "m", "node_id": "n"}
    row |= {"prompt_tokens": 1, "completion_tokens": 1, "ms": 1}
    books(
        came(account, 299_000),
        TakeHold("job_heavy", account, 30_000, 30_000, None, 0, 10**12, "m"),
        Capture("job_heavy", 30_000, row),
    )
    page = words(client)
    assert "Little is left: an answer costs about 30 sats, so this is for fewer than 10 more." in page.text
    assert "Answer of m 1 tokens in, 1 out" in page.text
    books(came(account, 31_000))
    assert "Little is left" not in words(client).text


def test_an_answer_is_told_with_its_model_its_tokens_and_who_asked(people, books):
    """Through a real request: the charge finds its row of usage."""
    client = people("asker")
    books(came(account_of(client), 100_000))
    key = client.post("/api/keys", json={"name": "my laptop"}).json()["secret"]
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
    answer = httpx.post(
        client.base_url.join("/v1/chat/completions"), json=body, headers={"authorization": f"Bearer {key}"}, timeout=30
    )
    asked = answer.json()
    usage = asked["usage"]
    told = f"{usage['prompt_tokens']} tokens in, {usage['completion_tokens']} out"
    said = words(client).text
    assert f"Answer of {asked['model']} {told}" in said
    assert "asked by my laptop −2.5" in said
    assert "Hello!" not in said


def test_debts_are_explained(people, books):
    client = people("debtor")
    owed = Posting(chart.receivable(account_of(client)), chart.clearing("card"), 5_000)
    books(Post("reversal", "card", "refund of debtor", (owed,)))
    page = words(client)
    assert "5 sats owed" in page.text
    assert "Deposit 5 sats or more to go on." in page.text
    assert "5 sats are owed. Nothing can be withdrawn" in words(client, "/wallet/withdrawals").text


def test_a_lightning_deposit_until_it_is_paid(people, providers, running):
    client = people("payer")
    made = client.post("/api/deposits", json={"provider": "lightning", "amount_sats": 1_234}).json()
    shown = words(client, f"/wallet?deposit={made['id']}")
    assert shown.by_id["deposit-now"]["data-follow"] == made["id"]
    assert "Waiting for the payment" in shown.text
    assert "About 0.74 EUR." in shown.text
    assert made["invoice"] in shown.text
    page = client.get(f"/wallet?deposit={made['id']}").text
    assert f'href="lightning:{made["invoice"]}"' in page
    assert 'class="qr"' in page
    assert "play money" not in page
    assert "Open deposits" not in shown.text
    assert "1234 sats over lightning" in words(client).text, "among those that are open"
    assert words(client).by_id["deposit-now"].get("hidden", 0) is None

    with client.stream("GET", f"/api/deposits/{made['id']}/events") as events:
        lines = events.iter_lines()
        next(lines)
        providers[0].pay(providers[0].refs[-1])
        list(lines)
    paid = words(client, f"/wallet?deposit={made['id']}")
    assert "data-follow" not in paid.by_id["deposit-now"]
    assert "Paid: 1234 sats" in paid.text
    assert "It is in your wallet." in paid.text
    assert made["invoice"] not in paid.text
    assert "Deposit 1234 sats over lightning +1234" in paid.text
    assert "1234 sats over lightning paid 1234" in words(client, "/wallet/deposits").text


def test_a_card_deposit_leads_to_the_providers_page(people):
    client = people("cardholder")
    made = client.post("/api/deposits", json={"provider": "card", "amount_eur": "12.50"}).json()
    page = client.get(f"/wallet?deposit={made['id']}")
    assert f'href="{made["checkout_url"]}"' in page.text
    assert "12.50 EUR for 20833.333 sats At 60000.00 EUR for a bitcoin, locked for you." in Words(page.text).text
    assert "Pay at pay.example.org" in page.text
    assert 'class="qr"' not in page.text


def test_nobody_sees_a_strangers_deposit_statement_or_payout(people):
    made = people("owner").post("/api/deposits", json={"provider": "lightning", "amount_sats": 5}).json()
    stranger = people("stranger")
    answer = stranger.get(f"/wallet?deposit={made['id']}")
    assert (answer.status_code, made["invoice"] in answer.text) == (404, False)
    assert stranger.get(f"/wallet/deposits?before={made['id']}").status_code == 404
    assert stranger.get(f"/wallet/withdrawals?before=pay_{'0' * 32}").status_code == 404
    assert stranger.get("/wallet?before=%00").status_code == 400


def test_the_statement_has_pages(people, books):
    client = people("busy")
    account = account_of(client)
    books(*(adjustment.credit(account, 1_000, f"number {number:02}") for number in range(LINES + 2)))
    first = client.get("/wallet").text
    (earlier,) = re.findall(r'href="(/wallet\?before=ent_\w+)#statement"', first)
    second = client.get(earlier).text
    said = [re.findall(r"number (\d\d)", page) for page in (first, second)]
    assert said[0] + said[1] == [f"{number:02}" for number in reversed(range(LINES + 2))]
    assert ('id="statement" data-live' in first, 'id="statement" data-live' in second) == (True, False)


def test_what_people_wrote_is_text(people, books):
    client = people("writer")
    books(adjustment.credit(account_of(client), 1_000, "<b>bold</b>"))
    page = client.get("/wallet").text
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>" not in page


def test_a_withdrawal_from_what_can_be_to_what_became_of_it(people, books, providers):
    client = people("earner")
    books(came(account_of(client), 300_000), came(account_of(client), 50_000, Origin.CARD))
    page = words(client, "/wallet/withdrawals")
    # 287 and 1 % of it and 10 are 299.87.
    assert "287 sats can be withdrawn now" in page.text
    assert "Up to 12.87 sats are kept for it" in page.text
    assert "400 in 24 hours, of which 400 are left" in page.text
    assert page.by_id["payouts"]["data-live"] == "15"
    invoice = providers[2].invoice(100_000)
    made = client.post("/api/payouts", json={"destination": invoice})
    assert made.status_code == 201, made.text
    ended(client, made.json())
    page = words(client, "/wallet/withdrawals")
    assert "paid The network took 2 sats. 100" in page.text
    assert "of which 300 are left" in page.text
    said = words(client).text
    assert "Left of a withdrawal's fee The network took 2 sats +9" in said
    assert f"Withdrawal 100 sats to {invoice[:14]}…{invoice[-8:]}, and up to 11 sats for the network −111" in said


def test_a_payment_inside_is_told_to_each_side_as_its_own(people, books):
    payer, payee = people("inside-payer"), people("inside-payee")
    books(came(account_of(payer), 100_000))
    deposit = payee.post("/api/deposits", json={"provider": "lightning", "amount_sats": 50}).json()
    payout = payer.post("/api/payouts", json={"destination": deposit["invoice"]}).json()
    ended(payer, payout)
    assert "Withdrawal settled inside this server Nothing was taken for the network +10.5" in words(payer).text
    said = words(payee).text
    assert "Deposit Paid by another account of this server +50" in said
    assert "Withdrawal settled" not in said


def test_automatic_payouts_are_set_up_and_stopped(people):
    client = people("saver")
    assert "Set it up" in words(client, "/wallet/withdrawals").text
    body = {"destination": "saver@example.org", "threshold_sats": 2_000}
    assert client.put("/api/payouts/automatic", json=body).status_code == 200
    page = words(client, "/wallet/withdrawals")
    assert "goes to saver@example.org whenever it is 2000 sats or more" in page.text
    assert "Set it up" not in page.text


class TestPlainServers:
    """What a server says that has little."""

    def at(self, running, name="somebody"):
        answer = httpx.post(
            f"{running.url}/api/account/register",
            json={"name": name, "password": "a long password"},
            headers={"origin": running.url},
        )
        assert answer.status_code == 200, answer.text
        return httpx.Client(base_url=running.url, cookies=answer.cookies, headers={"accept": "text/html"})

    def test_no_provider_at_all(self, start_server):
        running = start_server(plugin_of(ScriptedBackend(says("x"))), accounts=AccountSettings(registration="open"))
        with self.at(running) as client:
            page = words(client)
            assert "This server takes no deposits" in page.text
            assert "The wallet is empty" not in page.text, "answers are free"
            assert "This server pays nothing out" in words(client, "/wallet/withdrawals").text

    def test_play_money_is_paid_with_a_click(self, start_server):
        play = ScriptedPayments("play", play_money=True, test_pay_path="/api/play/pay")
        running = start_server(
            plugin_of(play),
            accounts=AccountSettings(registration="open"),
            rates=RateSettings(fixed=Cents(6_000_000), display=True),
        )
        with self.at(running) as client:
            origin = {"origin": running.url}
            made = client.post("/api/deposits", json={"amount_sats": 7}, headers=origin).json()
            page = client.get(f"/wallet?deposit={made['id']}")
        assert 'data-api="POST /api/play/pay"' in page.text
        assert f'name="invoice" value="{made["invoice"]}"' in page.text
        assert "it is worth nothing" in page.text
        assert "EUR" not in Words(page.text).text, "play money has no worth in euros"

    def test_payouts_that_are_switched_off(self, start_server):
        running = start_server(
            plugin_of(ScriptedPayouts("lightning")),
            accounts=AccountSettings(registration="open"),
            payouts=PayoutSettings(enabled=False),
        )
        with self.at(running) as client:
            page = words(client, "/wallet/withdrawals")
        assert "Withdrawals are switched off" in page.text
        assert "withdraw" not in page.by_id


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "within minutes"), (600, "10 minutes after"), (7_200, "2 hours after"), (86_400 * 120, "120 days after")],
)
def test_delays_in_words(seconds, said):
    assert delay_words(seconds).startswith(said)
