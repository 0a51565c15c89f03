"""/playground, as the server makes it: which models there are to choose from, and what somebody has to know first."""

import html
import time

import httpx
import pytest

from lightphon_core.accounts.people import get_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Capability, Model, Price
from lightphon_core.web import app
from lightphon_core.web.pages.frame.assets import Assets, load_assets
from lightphon_core.web.pages.playground import MARKDOWN

CHAT = frozenset({Capability.CHAT})
MODELS = [
    Model("maker/talker", CHAT, 32768),
    Model("openclaw/main", CHAT, owned_by="OpenClaw"),
    Model("embedder", frozenset({Capability.EMBEDDING})),
    Model('"><script>alert(1)</script>', CHAT),
]
PRICE = Price(per_minute=5_000, per_request=1_500)


@pytest.fixture(scope="module")
def backend():
    return ScriptedBackend(says("x"), models=MODELS, price=PRICE)


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory, backend):
    with run_server(tmp_path_factory.mktemp("playground"), plugin_of(backend)) as running:
        yield running


def test_models_that_chat_can_be_chosen(people):
    page = people("chooser").get("/playground").text
    here, openclaw = page.index('<optgroup label="Here now">'), page.index('<optgroup label="OpenClaw">')
    assert here < page.index('value="maker/talker"') < openclaw < page.index('value="openclaw/main"')
    for kind in ("auto", "auto:fast", "auto:cheap", "auto:code", "auto:reasoning", "auto:free"):
        assert f'<option value="{kind}">' in page
    assert "embedder" not in page
    assert "<script>alert" not in page
    facts = "5 sats per minute + 1.5 sats per request · 32 768 tokens of context · 1 node"
    assert f'data-facts="{facts}"' in html.unescape(page).replace("\u202f", " ")
    assert 'data-wanted="maker/talker"' in people("fan").get("/playground?model=maker/talker").text
    planted = people("planted").get("/playground", params={"model": '"><script>alert(1)'}).text
    assert "<script>alert" not in planted


def test_who_has_nothing_is_told_where_to_pay_in_unless_all_is_free(people, running, backend):
    empty = "Your wallet is empty"
    poor = people("poor")
    assert empty in poor.get("/playground").text
    with running.server.database.transaction() as connection:
        carry_out(connection, [adjustment.credit(get_account(connection, "poor").id, 1_000, "gift")])
    assert empty not in poor.get("/playground").text
    backend.price = None
    backend.changed()
    try:
        assert empty not in people("free").get("/playground").text
    finally:
        backend.price = PRICE
        backend.changed()


@pytest.mark.parametrize("has", [True, False])
def test_without_the_scripts_for_markdown_it_says_so(start_server, monkeypatch, has):
    own = load_assets()
    ours = {name: each for name, each in own.files.items() if name not in MARKDOWN}
    brought = dict.fromkeys(MARKDOWN if has else MARKDOWN[:1], own.files["js/app.js"])
    monkeypatch.setattr(app, "load_assets", lambda: Assets({**ours, **brought}, own.version))
    running = start_server(plugin_of(ScriptedBackend(says("x"))))
    with running.server.database.transaction() as connection:
        account = get_account(connection, "test")
        token = open_session(connection, account.id, now=time.time(), lifetime_s=60, recent_s=60)
    page = httpx.get(f"{running.url}/playground", headers={"cookie": f"{COOKIE}={token}"}).text
    assert ("data-markdown" in page) is has
    assert ("shown as plain text" in page) is not has
