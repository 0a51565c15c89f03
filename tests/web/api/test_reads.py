"""What one's own wallet, usage and nodes look like; what everybody may know; and what /schema says."""

from datetime import UTC, date, datetime, timedelta

import httpx
from attrs import evolve

from lightphon_core import ConnectedNode, Load, Model, Node, NodeState, Price
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.web.api.usage import span

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_wallet_is_read_page_by_page(people, code):
    alice, bob = people("alice"), people("bob")
    with people.running.server.database.transaction() as connection:
        gifts = [adjustment.credit(alice.account.id, number, f"gift {number}") for number in range(1, 8)]
        carry_out(connection, gifts)
        carry_out(connection, [adjustment.credit(bob.account.id, 9, "not hers")])
    notes, before = [], {}
    for _ in range(10):
        page = alice.get("/api/wallet", params={"limit": 3, **before}).json()
        assert page["available_msat"] == 28
        notes += [line["note"] for line in page["statement"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert notes == [f"gift {number}" for number in range(7, 0, -1)]
    assert alice.get("/api/wallet", params={"limit": 7}).json()["next"] is None
    assert code(alice.get("/api/wallet", params={"before": "ent_" + "0" * 26})) == (404, "not_found")
    assert code(alice.get("/api/wallet", params={"before": "'"})) == (400, None)


def test_what_is_added_meanwhile_moves_no_page(people):
    alice = people("alice")

    def give(*amounts):
        with people.running.server.database.transaction() as connection:
            carry_out(connection, [adjustment.credit(alice.account.id, each, f"gift {each}") for each in amounts])

    give(1, 2, 3, 4, 5)
    seen, page = [], {"limit": 2}
    for later in (6, 7, 8):
        answer = alice.get("/api/wallet", params=page).json()
        seen += [line["amount_msat"] for line in answer["statement"]]
        page["before"] = answer["next"]
        give(later)
    assert (seen, answer["next"]) == ([5, 4, 3, 2, 1], None)


def test_usage_is_summed_up(people, code):
    alice, bob = people("alice"), people("bob")
    keys = [alice.post("/api/keys", json={"name": name}).json() for name in ("a", "b")]
    people.backend.models = [evolve(people.backend.models[0], id=name) for name in ("m", "n")]
    people.backend.changed()
    for key, model in ((keys[0], "m"), (keys[0], "m"), (keys[1], "n")):
        headers = {"authorization": f"Bearer {key['secret']}"}
        asked = httpx.post(people.running.url + "/v1/chat/completions", json={**CHAT, "model": model}, headers=headers)
        assert asked.status_code == 200, asked.text

    today = datetime.now(UTC).date()
    (day,) = (answer := alice.get("/api/usage").json())["data"]
    assert (answer["first"], answer["last"]) == (str(today - timedelta(days=29)), str(today))
    assert answer["truncated"] is False
    assert (day["day"], day["model"], day["key"], day["key_name"]) == (str(today), None, None, None)
    assert (day["requests"], day["completion_tokens"], day["cost_msat"]) == (3, 3, 0)
    by = alice.get("/api/usage?by=model,key").json()["data"]
    assert {(each["model"], each["key"], each["key_name"], each["requests"]) for each in by} == {
        ("m", keys[0]["id"], "a", 2),
        ("n", keys[1]["id"], "b", 1),
    }
    assert bob.get("/api/usage").json()["data"] == []
    assert alice.get("/api/usage?last=2020-01-31").json()["data"] == []
    for query in ("by=", "by=week", "by=day;drop", "first=2026-02-30", "first=2026-02-02&last=2026-02-01", "last=x"):
        assert code(alice.get(f"/api/usage?{query}"))[0] == 400, query
    when = alice.get("/api/usage?first=2026-01-01T00:00:00Z").json()["error"]
    assert (when["message"], when["param"]) == (
        "Invalid value for 'first'. Expected a day, such as 2026-01-31.",
        "first",
    )


def test_the_days_that_are_asked_for():
    today = date(2026, 3, 1)
    assert span(None, None, today=today) == (date(2026, 1, 31), today)
    assert span(date(2026, 2, 1), None, today=today) == (date(2026, 2, 1), today)
    assert span(None, date.min, today=today) == (date.min, date.min)


NOTHING = {"answers": 0, "prompt_tokens": 0, "completion_tokens": 0, "ms": 0, "earned_msat": 0}


def test_a_node_has_served_what_was_asked_of_it(people):
    alice = people("alice")
    people.backend.owner = alice.account.id
    people.backend.changed()
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
    key = {"authorization": f"Bearer {people.running.api_key}"}
    answer = httpx.post(people.running.url + "/v1/chat/completions", json=body, headers=key)
    usage = answer.json()["usage"]
    (node,) = alice.get("/api/nodes").json()["data"]
    assert (
        node["today"]
        == node["last_30_days"]
        == {
            "answers": 1,
            "prompt_tokens": usage["prompt_tokens"],
            "completion_tokens": usage["completion_tokens"],
            "ms": node["today"]["ms"],
            "earned_msat": 0,
        }
    )


def test_nodes_are_ones_own(people):
    alice, bob = people("alice"), people("bob")
    assert alice.get("/api/nodes").json() == {"data": []}
    people.backend.owner, people.backend.slots = alice.account.id, 3
    people.backend.price = Price(per_minute=5)
    people.backend.models = [Model("m", context_length=4_096)]
    people.backend.changed()
    price = {"per_minute": 5, "per_mtok_prompt": 0, "per_mtok_completion": 0, "per_request": 0}
    model = {
        "id": "m",
        "capabilities": ["chat"],
        "context_length": 4_096,
        "quantization": None,
        "price_msat": price,
        "price_set_by": "node",
        "slots": 3,
        "busy": 0,
        "queued": 0,
        "facts": {},
    }
    node = {
        "id": "scripted-node",
        "name": "scripted-node",
        "state": "online",
        "token": None,
        "facts": {},
        "models": [model],
        "today": NOTHING,
        "last_30_days": NOTHING,
    }
    assert alice.get("/api/nodes").json() == {"data": [node]}
    assert bob.get("/api/nodes").json() == {"data": []}

    (offer,) = people.backend.offers()
    told = evolve(offer, facts={"engine": "e"}, node=evolve(offer.node, facts={"cores": 8}))
    people.backend.offers = lambda: [told]
    people.backend.load = lambda: {told.id: Load(busy=1, facts={"tokens_per_s": 9.5})}
    people.backend.changed()
    (node,) = alice.get("/api/nodes").json()["data"]
    assert node["facts"] == {"cores": 8}
    assert (node["models"][0]["busy"], node["models"][0]["facts"]) == (1, {"engine": "e", "tokens_per_s": 9.5})


def test_a_node_that_offers_nothing_is_shown_to_its_owner_alone(people):
    alice, bob = people("alice"), people("bob")
    states = {"c": NodeState.STARTING, "a": NodeState.PAUSED, "b": NodeState.DRAINING}
    there = [
        ConnectedNode(Node(f"node-{name}", name, alice.account.id), state, f"cred_{name}")
        for name, state in states.items()
    ]
    people.backend.online = False
    people.backend.nodes = lambda: [ConnectedNode(Node("node-0", "0")), *there]
    people.backend.changed()
    shown = alice.get("/api/nodes").json()["data"]
    assert [(each["name"], each["state"], each["token"], each["models"]) for each in shown] == [
        ("a", "paused", "cred_a", []),
        ("b", "draining", "cred_b", []),
        ("c", "starting", "cred_c", []),
    ]
    assert bob.get("/api/nodes").json() == {"data": []}
    assert httpx.get(people.running.url + "/api/status").json()["nodes_online"] == 0
