"""/status: sums for everybody, models for who may see them, and what works."""

import html
import re

import httpx
import pytest

from lightphon_core.errors import StorageUnavailable
from lightphon_core.settings import ServerSettings
from lightphon_core.testing import ScriptedBackend, ScriptedPayments, plugin_of
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.scripted import says
from lightphon_core.types import Load, Model, Price
from lightphon_core.web.monitoring import health

from .conftest import BROWSERS


def offering():
    made = ScriptedBackend(
        says("Hel", "lo"),
        models=[
            Model("a/<tiny>", maker="acme", params_b=1.5, context_length=4_096),
            Model("claw", owned_by="OpenClaw"),
        ],
        price=Price(per_minute=5_000),
        slots=4,
        owner="acc_secret",
    )
    made.load = lambda: {"scripted/claw": Load(busy=3, queued=7)}
    return made


@pytest.fixture(scope="module")
def backend():
    return offering()


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory, backend):
    with run_server(tmp_path_factory.mktemp("status"), plugin_of(backend)) as running:
        yield running


def text_of(answer):
    assert answer.status_code == 200
    return re.sub(r"[ \n]+", " ", html.unescape(answer.text))


def test_everybody_sees_sums_and_who_is_logged_in_the_models(people, running, backend):
    page = text_of(people().get("/status"))
    for said in ("3 / 8", "slots busy, 7 waiting", "models online", "node online", "nothing was measured"):
        assert said in page, said
    for word in ("tiny", "claw", "OpenClaw", "acme", "acc_secret", "scripted"):
        assert word not in page, word

    asked, backend.price = backend.price, Price()  # nobody here has any money
    backend.changed()
    running.openai().chat.completions.create(model="a/<tiny>", messages=[{"role": "user", "content": "Hello!"}])
    backend.price = asked
    backend.changed()
    answer = people("looker").get("/status")
    assert "a/&lt;tiny&gt;" in answer.text
    page = text_of(answer)
    for said in ("OpenClaw", "acme", "1.5 B", "4\u202f096", "5 sats per minute", "until the first words"):
        assert said in page, said
    assert "acc_secret" not in page


def test_what_works_is_what_readyz_says(people, monkeypatch):
    assert "The server and its database work." in text_of(people().get("/status"))

    async def broken(self):
        raise health.NotReady("The disk is full.", retry_after=1)

    monkeypatch.setattr(health.Readiness, "check", broken)
    page = text_of(people().get("/status"))
    assert "not now" in page
    assert "The disk is full." in page


def test_it_is_a_page_without_the_database_too(people, monkeypatch):
    async def away(*_):
        raise StorageUnavailable("The database does not answer.", retry_after=1)

    somebody = people("patient")
    monkeypatch.setattr("lightphon_core.web.pages.network.status.anybody", away)
    assert "What works" in text_of(somebody.get("/status"))


def test_open_models_are_open_here_too_and_payments_are_shown(start_server):
    running = start_server(
        plugin_of(offering(), ScriptedPayments("lightning"), ScriptedPayouts()), server=ServerSettings(open_models=True)
    )
    page = text_of(httpx.get(running.url + "/status", headers={"accept": BROWSERS}))
    assert "a/<tiny>" in page
    assert page.count("possible") == 2
    running.server.call(running.server._app.state.payout_administration.freeze(None, "A secret reason."))
    page = text_of(httpx.get(running.url + "/status", headers={"accept": BROWSERS}))
    assert "paused" in page
    assert "A secret reason." not in page
