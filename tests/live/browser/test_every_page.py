"""Every page, light and dark, on a desk and on a phone: nothing serious for axe-core, nothing sideways, no error.

With LIGHTPHON_TEST_SCREENSHOTS it also makes the pictures of docs/screenshots/, in that folder.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from lightphon_backend_openclaw.testing.fake import FakeServer
from playwright.sync_api import expect

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.commands import Count
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings, RateSettings

from .conftest import House

pytestmark = pytest.mark.browser

PUBLIC = ("/", "/register", "/login", "/guide", "/download", "/status", "/design")
OWN = (
    *("/", "/wallet", "/wallet/deposits", "/wallet/withdrawals", "/router", "/playground", "/nodes", "/account"),
    *("/usage?of=tokens", "/guide", "/status"),
)
ADMINISTRATORS = (
    "/admin",
    *(f"/admin/{part}" for part in ("accounts", "nodes", "prices", "payouts", "ledger", "plugins", "settings")),
)
LOOKS = [(False, False), (True, False), (False, True), (True, True)]
MODELS = (
    *(("greeting", "Qwen/Qwen2.5-Coder-14B-Instruct-GGUF"), ("greeting", "bartowski/Llama-3.2-3B-Instruct-GGUF")),
    ("greeting", "unsloth/gemma-3-12b-it-GGUF"),
)
DAY_US = 86_400_000_000
AS_INSTALLED = r"""() => {
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const node = words.currentNode;
        node.data = node.data.replace(/\/[\w./-]*\/system\d+\/data/g, "/var/lib/lightphon");
    }
}"""
"""Pictures show no folder of a test."""


@pytest.fixture(scope="module")
def house(run_system):
    """A gateway in which something goes on: two nodes, an OpenClaw, and a resident with a month behind them."""
    with ExitStack() as stack:
        claw = stack.enter_context(FakeServer())
        claw.listen()
        table = {"base_url": claw.url, "api_key": claw.key, "price": "2"}
        system = stack.enter_context(
            run_system(
                lightning={"wallet": "demo"},
                openclaw={"instances": {"OpenClaw": table}},
                accounts=AccountSettings(registration="open"),
                rates=RateSettings(fixed=6_000_000),
            )
        )
        made = House(system)
        made.furnish()
        system.start_node(*MODELS[:2], name="attic", price="prompt=100,completion=400")
        system.start_node(MODELS[2], name="garage", slots=4, price="minute=30")
        made.person()
        live_through(made, "visitor1")
        yield made


def live_through(house, name):
    """A month of answers, and some money."""
    now = time.time_ns() // 1_000
    with house.system.running.server.database.transaction() as connection:
        account = get_account(connection, name).id
        carry_out(connection, [adjustment.credit(account, 21_000_000, "Welcome")])
        for day in range(30):
            for number, (_, model) in enumerate(MODELS):
                usage = {"id": f"{name}{day}-{number}", "account_id": account, "credential_id": "playground"}
                usage |= {"node_id": "n", "model": model, "prompt_tokens": 900, "ms": 4_000}
                usage["completion_tokens"] = 200 + (day * 7 + number * 13) % 17 * 40
                carry_out(connection, [Count(usage)], clock=lambda _, at=now - day * DAY_US: at)


@pytest.fixture
def resident(visit, house):
    """`resident(...)`: the one with the month, with a deposit and a key made lately, and an answer just now."""

    def come(**looks):
        visitor = visit(logged_in="visitor1", **looks)
        if not house.lived_in:
            ask = visitor.page.request
            origin = {"origin": house.url}
            made = ask.post(f"{house.url}/api/deposits", data={"amount_sats": 5000}, headers=origin).json()
            ask.post(f"{house.url}/api/demo-wallet/pay", data={"invoice": made["invoice"]}, headers=origin)
            ask.post(f"{house.url}/api/keys", data={"name": "laptop", "budgets": {"day": 50_000}}, headers=origin)
            ask.post(f"{house.url}/api/node-tokens", data={"name": "box in the cellar"}, headers=origin)
            body = {"messages": [{"role": "user", "content": "Hello!"}]}
            for model in (MODELS[0][1], MODELS[2][1], "openclaw/main"):
                answer = ask.post(f"{house.url}/api/playground/chat", data={"model": model, **body}, headers=origin)
                assert answer.ok, answer.text()
            house.lived_in = True
        return visitor

    return come


def look_at(visitor, path, *, dark, phone, who=""):
    page = visitor.opens(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if path == "/playground":
        page.get_by_label("Model", exact=True).select_option(MODELS[0][1])
        page.get_by_label("Message").fill("Hello!")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("list", name="Who answered")).to_contain_text("tokens")
    visitor.check_accessible()
    picture(page, path, dark=dark, phone=phone, who=who)


def picture(page, path, *, dark, phone, who):
    if (folder := os.environ.get("LIGHTPHON_TEST_SCREENSHOTS")) and not (phone and dark):
        name = path.partition("?")[0].strip("/").replace("/", "-") or "home"
        looks = "phone" if phone else "dark" if dark else "light"
        page.evaluate(AS_INSTALLED)
        page.screenshot(path=Path(folder) / f"{who}{name}-{looks}.png")


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
def test_for_everybody(visit, dark, phone):
    visitor = visit(dark=dark, phone=phone)
    for path in PUBLIC:
        look_at(visitor, path, dark=dark, phone=phone, who="" if path != "/" else "first-")


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
def test_for_who_is_logged_in(resident, dark, phone):
    visitor = resident(dark=dark, phone=phone)
    for path in OWN:
        look_at(visitor, path, dark=dark, phone=phone)


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
def test_for_administrators(visit, house, dark, phone):
    visitor = visit(logged_in=house.administrator, dark=dark, phone=phone)
    for path in ADMINISTRATORS:
        look_at(visitor, path, dark=dark, phone=phone)


def test_openclaws_models_have_its_badge(resident, house):
    page = resident().opens("/router?owned_by=OpenClaw")
    rows = page.locator("#ranking li.candidate")
    expect(rows.first).to_contain_text("openclaw")
    assert rows.get_by_text("OpenClaw", exact=True).count() >= rows.count() > 0
    page = resident().opens("/status")
    expect(page.get_by_role("row", name="openclaw/main")).to_contain_text("OpenClaw")
    with httpx.Client(headers={"authorization": f"Bearer {house.system.api_key}"}) as client:
        owners = {each["id"]: each["owned_by"] for each in client.get(f"{house.url}/v1/models").json()["data"]}
    assert owners["openclaw/main"] == "OpenClaw"
