"""What clients read of /v1/models: over HTTP, with prices as they are in force at that moment."""

import httpx
import msgspec
import pytest

from lightphon_core import Capability, Model, Node, Offer, Price
from lightphon_core.ledger.offer_prices import Priced
from lightphon_core.settings import PriceSettings, PricingSettings, ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.web.operations import ModelObject, ModelObjects

C = Capability
CHAT = frozenset({C.CHAT})


class Nodes(ScriptedBackend):
    """One node for each price of each model."""

    def __init__(self, stock):
        super().__init__(says("x"))
        self.stock = stock

    def offers(self):
        return [
            Offer(f"{model.id}-{at}", model, Node(f"box{at}", f"box{at}", "acc_owner"), 4, price)
            for model, prices in self.stock.items()
            for at, price in enumerate(prices)
        ]


def get(running, path="/v1/models", **headers):
    headers = headers or {"authorization": f"Bearer {running.api_key}"}
    return httpx.get(running.url + path, headers=headers, timeout=30)


def listed(running):
    """The entries by id; each is what /schema says."""
    answer = get(running).content
    msgspec.json.decode(answer, type=ModelObjects)
    entries = {entry["id"]: entry for entry in msgspec.json.decode(answer)["data"]}
    for name, entry in entries.items():
        one = get(running, f"/v1/models/{name}").content
        msgspec.json.decode(one, type=ModelObject)
        assert msgspec.json.decode(one) == entry, "one model says what the list says"
    return entries


def prices(running):
    """Per minute, in sats."""
    return {name: entry["pricing"] and entry["pricing"]["minute"] for name, entry in listed(running).items()}


def test_prices_are_those_in_force_of_the_cheapest_offer(start_server):
    set_by_operator = PricingSettings(per_minute=7_000, models={"set": PriceSettings(per_minute=9_000)})
    backend = Nodes(
        {
            Model("asks", CHAT): [Price(per_minute=3_000), Price(per_minute=2_000), Price(per_request=10**6)],
            Model("set", CHAT): [Price(per_minute=1)],
            Model("unsaid", CHAT): [None],
            Model("vectors", frozenset({C.EMBEDDING})): [Price(per_minute=1_000)],
        }
    )
    running = start_server(plugin_of(backend), pricing=set_by_operator)
    gateway = running.server.gateway
    before = {"auto": "2", "asks": "2", "set": "9", "unsaid": "7", "vectors": "1"}
    assert prices(running) == before
    assert listed(running)["asks"]["nodes_online"] == 3

    async def agree(prices):
        gateway.agreed._changed(prices)

    running.server.call(agree({Priced("acc_owner", "box0", "asks"): Price(per_minute=500)}))
    assert prices(running) == {**before, "auto": "0.5", "asks": "0.5"}
    running.server.call(agree({}))
    assert prices(running) == before
    del backend.stock[Model("asks", CHAT)]
    backend.changed()
    assert prices(running) == {"auto": "7", "set": "9", "unsaid": "7", "vectors": "1"}
    backend.stock = {Model("vectors", frozenset({C.EMBEDDING})): [Price(per_minute=1_000)]}
    backend.changed()
    assert prices(running) == {"auto": "1", "vectors": "1"}
    backend.stock = {}
    backend.changed()
    assert prices(running) == {"auto": None}


def test_kinds_of_auto_have_entries_too(start_server):
    running = start_server(plugin_of(ScriptedBackend(says("x"), price=Price(per_request=1_000))))
    for name, request in (("auto", "1"), ("auto:fast", "1"), ("auto:free", "0")):
        entry = get(running, f"/v1/models/{name}").json()
        assert (entry["id"], entry["pricing"]["request"]) == (name, request)
    assert get(running, "/v1/models/auto:dear").status_code == 404


def test_the_official_client_reads_what_is_besides(start_server):
    running = start_server(plugin_of(ScriptedBackend(says("x"))), limits={"max_output_tokens": 99})
    auto, model = running.openai().models.list().data
    for each in (auto, model):
        assert each.top_provider["max_completion_tokens"] == 99
        assert each.pricing["currency"] == "sat"
        assert {"tools", "response_format", "temperature"} <= set(each.supported_parameters)
        assert each.architecture["input_modalities"] == ["text"]


class TestOpenList:
    @pytest.fixture
    def running(self, start_server):
        backend = ScriptedBackend(says("x"), models=["a", "b"])
        return start_server(plugin_of(backend), server=ServerSettings(open_models=True))

    def test_who_sends_no_key_sees_all(self, running):
        whole = get(running).content
        for path in ("/v1/models", "/models"):
            for nothing in ({"accept": "*/*"}, {"authorization": ""}, {"authorization": "Bearer"}):
                assert get(running, path, **nothing).content == whole, nothing

    def test_a_bad_key_is_still_refused(self, running):
        for bad in ("Bearer lp_nonsense", "Bearer sk-foreign", "Basic eDp5", "lp_nonsense"):
            assert get(running, authorization=bad).status_code == 401, bad
        assert get(running, "/api/agent/at_nobody/v1/models", accept="*/*").status_code == 401
        assert get(running, authorization=f"Bearer {running.node_token}").status_code == 403


def test_the_least_price_is_that_of_a_model_that_chats(start_server):
    backend = Nodes(
        {
            Model("dear", CHAT): [Price(per_request=9_000), Price(per_request=5_000)],
            Model("dearer", CHAT): [Price(per_request=6_000)],
            Model("vectors", frozenset({C.EMBEDDING})): [Price(per_request=1)],
        }
    )
    models = start_server(plugin_of(backend)).server._app.state.models
    assert models.least_price() == Price(per_request=5_000)
    backend.stock = {}
    backend.changed()
    assert models.least_price() is None
