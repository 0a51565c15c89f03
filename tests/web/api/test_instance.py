"""What administrators see of the instance: plugins, settings, nodes, prices, the books, and how it all goes."""

from typing import NamedTuple

import attrs
import httpx
import pytest

from lightphon_core import Model, Needs, Price
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.ledger import model_prices
from lightphon_core.ledger.model_prices import ModelPrices
from lightphon_core.money import Amount
from lightphon_core.payments.payouts import freezes
from lightphon_core.plugins import Source
from lightphon_core.serving.outcome import Outcome
from lightphon_core.settings import (
    PluginsSettings,
    PriceSettings,
    PricingSettings,
    RoutingSettings,
    Secret,
    ServerSettings,
)
from lightphon_core.storage import room
from lightphon_core.storage.revisions import newest
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import ConnectedNode, Load, Node, NodeState
from lightphon_core.web.monitoring.recent import WINDOW_S, Recent

CANARY = "c4n4ryc4n4ryc4n4ry"
PRICES = "/api/admin/prices"
FREE = {"per_minute": 0, "per_mtok_prompt": 0, "per_mtok_completion": 0, "per_request": 0}
SECRET = Secret(CANARY)


class Disk(NamedTuple):
    free: int = 5
    total: int = 10


@attrs.frozen
class Settings:
    """Of a plugin."""

    url: str = f"https://me:{CANARY}@host/v1"
    secret: Secret = SECRET
    note: str = f"lp_{CANARY}"


class Settled:
    """A plugin that has settings and nothing else."""

    settings = Settings

    def __init__(self, host):
        self.host = host


@pytest.fixture
def root(start_server):
    """An administrator of a server of its own, and the server."""
    running = start_server(
        plugin_of(ScriptedBackend(says("x"))),
        Source("settled", "somebodys-plugin", "1.2", lambda: Settled),
        Source("unwanted", "another", "3", lambda: Settled),
        plugins=PluginsSettings(block=("unwanted",)),
        routing=RoutingSettings(weights={"price": 2.5}),
        server=ServerSettings(metrics_token=Secret(CANARY)),
        pricing=PricingSettings(house_bps=250, models={"m/file": PriceSettings(per_request=Amount(7))}),
    )
    with running.server.database.transaction() as connection:
        account = create_account(connection, "root", now=0, admin=True)
        token = open_session(connection, account.id, now=running.server.gateway.clock.now(), lifetime_s=60, recent_s=60)
    with httpx.Client(base_url=running.url, headers={"origin": running.url}, cookies={COOKIE: token}) as client:
        client.running = running
        yield client


class TestPlugins:
    def test_what_runs_how_it_is_set_and_what_it_brings(self, root):
        answer = root.get("/api/admin/plugins")
        found = {each["name"]: each for each in answer.json()["data"]}
        assert list(found) == ["accounts", "scorers", "scripted", "settled", "unwanted"]
        scorers = {each["name"]: each for each in found["scorers"]["registered"]["scorers"]}
        assert scorers["price"] == {"name": "price", "weight": 2.5, "fault": None}
        assert all(each["weight"] > 0 for each in scorers.values())
        assert found["accounts"]["registered"]["authenticators"]
        assert found["scripted"]["registered"]["backends"] == ["scripted"]
        assert "register_backends" in found["scripted"]["hooks"]
        settled = found["settled"]
        assert (settled["package"], settled["version"], settled["state"]) == ("somebodys-plugin", "1.2", "ready")
        assert {each["key"]: each["value"] for each in settled["settings"]} == {
            "plugins.settled.url": '"https://...@host/v1"',
            "plugins.settled.secret": '"..."',
            "plugins.settled.note": '"lp_[redacted]"',
        }
        assert (found["unwanted"]["state"], found["unwanted"]["settings"]) == ("blocked", [])
        assert CANARY not in answer.text

    def test_a_scorer_that_answers_what_is_no_score(self, root):
        gateway = root.running.server.gateway
        gateway.router._panel.faults["price"] = "raised KeyError"
        (scorers,) = [each for each in root.get("/api/admin/plugins").json()["data"] if each["name"] == "scorers"]
        faults = {each["name"]: each["fault"] for each in scorers["registered"]["scorers"]}
        assert faults.pop("price") == "raised KeyError"
        assert set(faults.values()) == {None}


def test_settings_by_table_with_the_file_that_they_are_in(root):
    answer = root.get("/api/admin/settings")
    found = answer.json()
    assert found["file"].endswith("lightphon.toml")
    assert found["file_exists"] is False  # this server was made without one
    tables = {each["table"]: {one["key"]: one for one in each["settings"]} for each in found["sections"]}
    assert tables["accounts"]["accounts.registration"]["variable"] == "LIGHTPHON_ACCOUNTS_REGISTRATION"
    assert tables["accounts"]["accounts.registration"]["value"] == '"closed"'
    assert tables["pricing"]["pricing.house_bps"] == {
        **tables["pricing"]["pricing.house_bps"],
        "value": "250",
        "is_default": False,
    }
    assert tables['pricing.models."m/file"']['pricing.models."m/file".per_request']["value"] == "0.007"
    assert tables["server"]["server.metrics_token"]["value"] == '"..."'
    assert CANARY not in answer.text


class TestNodes:
    def test_everybodys_with_their_owners_and_how_busy_they_are(self, people):
        root, alice = people("root", admin=True), people("alice")
        backend = people.backend
        backend.owner, backend.models = alice.account.id, [Model("owner/m")]
        backend.load = lambda: {backend.offers()[0].id: Load(busy=1, queued=2)}
        idle, house = Node("n2", "attic", "acc_gone"), Node("n3", "Zoo")
        connected = [ConnectedNode(backend.offers()[0].node), ConnectedNode(idle, NodeState.PAUSED)]
        backend.nodes = lambda: [*connected, ConnectedNode(house)]
        backend.changed()
        found = root.get("/api/admin/nodes").json()["data"]
        by_id = {each["id"]: each for each in found}
        assert [each["name"] for each in found] == sorted(each["name"] for each in found)
        mine = by_id["scripted-node"]
        assert (mine["owner"], mine["owner_name"], mine["state"]) == (alice.account.id, "alice", "online")
        (model,) = mine["models"]
        assert (model["id"], model["busy"], model["queued"]) == ("owner/m", 1, 2)
        assert (by_id["n2"]["owner_name"], by_id["n2"]["state"], by_id["n2"]["models"]) == (None, "paused", [])
        assert by_id["n3"]["owner"] is None
        # Its owner sees the same of it, and no other.
        (own,) = alice.get("/api/nodes").json()["data"]
        assert own == {name: value for name, value in mine.items() if not name.startswith("owner")}


class TestPrices:
    def test_one_that_is_set_holds_on_every_node_until_it_is_taken_back(self, people, code):
        root, alice = people("root", admin=True), people("alice")
        backend = people.backend
        backend.owner, backend.models, backend.price = alice.account.id, [Model("owner/m"), Model("o")], Price(5)
        backend.changed()
        gateway = people.running.server.gateway
        needs = Needs("/v1/chat/completions", "owner/m", frozenset())

        def price():
            (ranked,) = gateway.router.rank(needs).candidates
            return ranked.stats.price

        own = {"model": "owner/m", "per_request": 3}
        assert alice.put("/api/nodes/scripted-node/price", json=own).status_code == 200
        assert price() == Price(per_request=3)
        answer = root.put(PRICES, json={"model": "owner/m", "per_minute": 9})
        asked = {"model": "owner/m", "price_msat": {**FREE, "per_minute": 9}, "set_in": "administration"}
        assert answer.json() == {**asked, "overridden": False, "on_offer": True}
        assert price() == Price(9)
        (node,) = alice.get("/api/nodes").json()["data"]
        sources = {each["id"]: each["price_set_by"] for each in node["models"]}
        assert sources == {"owner/m": "operator", "o": "node"}
        assert root.put(PRICES, json={"model": "later"}).json()["on_offer"] is False
        listed = root.get(PRICES).json()
        assert [each["model"] for each in listed["data"]] == ["later", "owner/m"]
        assert (listed["default_msat"], listed["house_bps"]) == (FREE, 0)

        another = ModelPrices(people.running.server.database)  # another gateway, on the same database
        people.running.server.call(another.refresh())
        assert another.all() == {"owner/m": Price(9), "later": Price()}

        for model in ("owner/m", "later"):
            assert root.delete(PRICES, params={"model": model}).json() == {"model": model, "removed": True}
        assert price() == Price(per_request=3)
        assert alice.delete("/api/nodes/scripted-node/price", params={"model": "owner/m"}).status_code == 200
        assert price() == Price(5)
        assert code(root.delete(PRICES, params={"model": "owner/m"})) == (404, "not_found")

    def test_the_settings_file_comes_first(self, root, code):
        server = root.running.server
        refused = root.put(PRICES, json={"model": "m/file", "per_request": 1})
        assert code(refused) == (400, "price_in_settings")
        assert '[pricing.models."m/file"]' in refused.json()["error"]["message"]
        server.call(server.gateway.model_prices.set("m/file", Price(1)))  # as before the file had it
        first, second = root.get(PRICES).json()["data"]
        assert (first["set_in"], first["overridden"], first["price_msat"]["per_request"]) == ("settings", False, 7)
        assert (second["set_in"], second["overridden"]) == ("administration", True)
        assert root.delete(PRICES, params={"model": "m/file"}).status_code == 200

    def test_a_change_is_logged_with_its_model_where_that_is_no_text_of_somebodys(self, root, caplog):
        for model in ("test-model", f"m/{CANARY}"):
            assert root.put(PRICES, json={"model": model, "per_request": 1}).status_code == 200
            assert root.delete(PRICES, params={"model": model}).status_code == 200
        root.get(PRICES)  # on the same connection: by now the lines of those before are written
        changes = [record.msg for record in caplog.records if "by" in record.msg]
        assert [(each["method"], each.get("model")) for each in changes] == [
            ("PUT", "test-model"),
            ("DELETE", "test-model"),
            ("PUT", None),
            ("DELETE", None),
        ]
        assert CANARY not in caplog.text

    def test_only_what_is_a_price_and_so_many(self, people, code, monkeypatch):
        root = people("root", admin=True)
        for wrong in ({"per_request": -1}, {"per_minute": 10**12 + 1}, {"per_minute": 0.5}, {"price": 1}):
            assert code(root.put(PRICES, json={"model": "m", **wrong}))[0] == 400, wrong
        for model in ("", "\0", "a\nb", "x" * 201):
            assert code(root.put(PRICES, json={"model": model}))[0] == 400
            assert code(root.delete(PRICES, params={"model": model}))[0] == 400
        monkeypatch.setattr(model_prices, "MOST_PRICES", 1)
        for _ in range(2):  # the same one may change
            assert root.put(PRICES, json={"model": "m"}).status_code == 200
        assert code(root.put(PRICES, json={"model": "other"}))[0] == 400
        assert root.delete(PRICES, params={"model": "m"}).status_code == 200


def test_the_books_are_proved(people):
    root, alice = people("root", admin=True), people("alice")
    before = root.get("/api/admin/ledger/proof").json()
    credit = {"amount_msat": 5_000, "reason": "a gift"}
    assert root.post(f"/api/admin/accounts/{alice.account.id}/credit", json=credit).status_code == 200
    proof = root.get("/api/admin/ledger/proof").json()
    assert (proof["right"], proof["problems"]) == (True, [])
    assert proof["entries"] == before["entries"] + 1
    assert proof["totals"]["adjustments_msat"] == before["totals"]["adjustments_msat"] - 5_000
    assert proof["liabilities_msat"] == before["liabilities_msat"] + 5_000
    assert proof["assets_msat"] == proof["liabilities_msat"] + proof["own_msat"]
    assert proof["at"] >= before["at"]


class TestHealth:
    def test_all_is_well(self, people):
        root = people("root", admin=True)
        found = root.get("/api/admin/health").json()
        database = people.running.server.database
        assert found["problem"] is None
        assert found["uptime_s"] >= 0
        about = found["database"]
        assert about["schema"] == about["newest_schema"] == newest()
        assert (about["kind"] == "sqlite") == (database.path is not None) == (about["bytes"] is not None)
        assert found["disk"]["room"] in ("enough", "little", "full")
        assert 0 < found["disk"]["free_bytes"] <= found["disk"]["total_bytes"]
        assert (found["open_holds"], found["payouts"]) == (0, {"under_way": {}, "freezes": []})

    def test_what_is_not_well(self, people, monkeypatch):
        root = people("root", admin=True)
        server = people.running.server
        with server.database.transaction() as connection:
            freezes.freeze(connection, "lightning", "The wallet moves.", 2_000_000)
        monkeypatch.setattr(server.gateway, "closing", True)
        monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Disk())
        server._app.state.recent.ended(Outcome("Overloaded", 1.0))
        found = root.get("/api/admin/health").json()
        assert found["problem"] == "The server is stopping."
        assert found["disk"]["room"] == "full"
        assert found["outcomes"] == {"Overloaded": 1}
        frozen = {"provider": "lightning", "since": 2, "reason": "The wallet moves."}
        assert found["payouts"]["freezes"] == [frozen]
        with server.database.transaction() as connection:
            freezes.lift(connection, "lightning")

        def unknown(path):
            raise PermissionError

        monkeypatch.setattr(room.shutil, "disk_usage", unknown)
        disk = root.get("/api/admin/health").json()["disk"]
        assert (disk["room"], disk["free_bytes"], disk["total_bytes"]) == (None, None, None)

    def test_the_password_of_a_database_is_not_in_its_name(self, people):
        shown = people("root", admin=True).get("/api/admin/health").json()["database"]["name"]
        assert shown == people.running.server.database.name
        assert "@" not in shown


def test_requests_count_for_as_long_as_the_window_is():
    now = [1000.0]
    recent = Recent(lambda: now[0])
    recent.ended(Outcome("ok", 1.0))
    now[0] += WINDOW_S / 2
    recent.ended(Outcome("Overloaded", 1.0))
    recent.ended(Outcome("ok", 1.0))
    assert recent.outcomes() == {"ok": 2, "Overloaded": 1}
    now[0] += WINDOW_S / 2
    assert recent.outcomes() == {"ok": 1, "Overloaded": 1}
    now[0] += WINDOW_S
    assert recent.outcomes() == {}
