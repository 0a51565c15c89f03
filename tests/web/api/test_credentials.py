"""/api/keys and its likes: what their owner may settle, what they then can do, and whom they cannot fool."""

import time

import httpx
import pytest

from lightphon_core import Price
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.commands import Count
from lightphon_core.ledger.periods import DAY_US
from lightphon_core.ledger.store import carry_out

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
PATHS = ("/api/keys", "/api/agent-tokens", "/api/node-tokens")


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def test_a_key_from_making_to_revoking(people, code):
    alice = people("alice")
    expires_at = int(time.time()) + 3_600
    asked = {
        "name": "laptop",
        "scopes": ["inference", "account"],
        "expires_at": expires_at,
        "models": ["test-model"],
        "limits": {"requests_per_minute": 7},
        "budgets": {"day": 5_000, "total": 0},
    }
    made = alice.post("/api/keys", json=asked)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    secret = key.pop("secret")
    assert secret.startswith("lp_")
    assert secret.endswith(key["hint"])
    assert key.pop("path") is None
    resets_at = key["budgets"]["day"].pop("resets_at")
    assert 0 < resets_at - time.time() <= 86_400
    assert key == {
        "id": key["id"],
        "kind": "api_key",
        "name": "laptop",
        "hint": secret[-4:],
        "scopes": ["account", "inference"],
        "created_at": key["created_at"],
        "expires_at": expires_at,
        "revoked_at": None,
        "models": ["test-model"],
        "limits": {"requests_per_minute": 7, "tokens_per_minute": None, "concurrent_requests": None},
        "budgets": {
            "day": {"amount_msat": 5_000, "spent_msat": 0, "held_msat": 0},
            "month": None,
            "total": {"amount_msat": 0, "spent_msat": 0, "held_msat": 0, "resets_at": None},
        },
        "route": None,
        "used_by": None,
        "last_answer_on": None,
    }
    where = f"/api/keys/{key['id']}"
    assert secret not in alice.get("/api/keys").text
    (listed,) = alice.get("/api/keys").json()["data"]
    assert listed == alice.get(where).json()
    assert httpx.get(people.running.url + "/api/account", headers=bearer(secret)).json()["name"] == "alice"
    asked = httpx.post(people.running.url + "/v1/chat/completions", json=CHAT, headers=bearer(secret))
    assert asked.status_code == 200, asked.text
    assert asked.headers["x-ratelimit-limit-requests"] == "7"

    changed = alice.patch(where, json={"name": "desk", "expires_at": None, "scopes": ["inference"], "limits": {}})
    assert changed.status_code == 200, changed.text
    assert changed.json()["last_answer_on"] is not None
    want = {**alice.get(where).json(), "name": "desk", "expires_at": None, "scopes": ["inference"]}
    want["limits"] = dict.fromkeys(listed["limits"])
    assert changed.json() == want  # models and budgets are as they were
    assert alice.patch(where, json={"models": None, "budgets": {"month": 9}}).json() == {
        **want,
        "models": None,
        "budgets": {
            "day": None,
            "month": {**alice.get(where).json()["budgets"]["month"], "amount_msat": 9},
            "total": None,
        },
    }
    assert alice.patch(where, json={}).json() == alice.get(where).json()
    assert code(httpx.get(people.running.url + "/api/account", headers=bearer(secret))) == (403, "permission_denied")

    revoked = alice.delete(where).json()
    assert revoked["revoked_at"] is not None
    assert alice.delete(where).json() == revoked == alice.get(where).json()
    assert alice.get("/api/keys").json() == {"data": []}
    assert code(alice.patch(where, json={"name": "again"})) == (400, "credential_revoked")
    refused = httpx.post(people.running.url + "/v1/chat/completions", json=CHAT, headers=bearer(secret))
    assert code(refused) == (401, "invalid_api_key")


def test_when_a_key_got_its_last_answer(people):
    """The day, of answers alone: what only looks at the account leaves no trace."""
    alice, root = people("alice"), people("root", admin=True)
    key, reader, agent, node = (
        alice.post(path, json=terms).json()
        for path, terms in (
            ("/api/keys", {"name": "busy"}),
            ("/api/keys", {"name": "reader", "scopes": ["account"]}),
            ("/api/agent-tokens", {"name": "bot"}),
            ("/api/node-tokens", {"name": "box"}),
        )
    )
    for day, made in ((20_000, key), (20_001, key), (19_998, agent)):
        answered = dict.fromkeys(("prompt_tokens", "completion_tokens", "ms"), 9)
        whose = {"account_id": alice.account.id, "credential_id": made["id"]}
        answer = {"id": f"{day}-{made['id']}", **whose, "model": "m", "node_id": "n", **answered}
        with people.running.server.database.transaction() as connection:
            carry_out(connection, [Count(answer)], clock=lambda _, day=day: (day + 1) * DAY_US - 1)
    assert httpx.get(f"{people.running.url}/api/account", headers=bearer(reader["secret"])).status_code == 200
    days = {key["id"]: "2024-10-05", reader["id"]: None, agent["id"]: "2024-10-02", node["id"]: None}
    for path in PATHS:
        for each in alice.get(path).json()["data"]:
            assert each["last_answer_on"] == days[each["id"]]
            assert alice.get(f"{path}/{each['id']}").json() == each
    file = root.get(f"/api/admin/accounts/{alice.account.id}").json()
    assert {each["id"]: each["last_answer_on"] for each in file["credentials"]} == days
    assert alice.delete(f"/api/keys/{key['id']}").json()["last_answer_on"] == "2024-10-05"


def test_milliseconds_are_told_from_seconds(people):
    answer = people("alice").post("/api/keys", json={"expires_at": int(time.time() * 1000) + 3_600_000})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], "looks like milliseconds" in error["message"]) == (
        400,
        "expires_at",
        True,
    )


def test_a_budget_of_nothing_spends_nothing(people, code):
    alice = people("alice")
    people.backend.price = Price(per_request=1_000)
    people.backend.changed()
    with people.running.server.database.transaction() as connection:
        carry_out(connection, [adjustment.credit(alice.account.id, 10_000, "gift")])
    key = alice.post("/api/keys", json={"budgets": {"day": 0}}).json()
    ask = {"json": CHAT, "headers": bearer(key["secret"])}
    assert code(httpx.post(people.running.url + "/v1/chat/completions", **ask)) == (402, "budget_exceeded")
    alice.patch(f"/api/keys/{key['id']}", json={"budgets": {"day": 1_500}})
    assert httpx.post(people.running.url + "/v1/chat/completions", **ask).status_code == 200
    day = alice.get(f"/api/keys/{key['id']}").json()["budgets"]["day"]
    assert (day["amount_msat"], day["spent_msat"]) == (1_500, 1_000)


def test_what_a_key_is_used_by(people, code):
    alice = people("alice")
    made = alice.post("/api/keys", json={"used_by": "OpenClaw", "scopes": ["inference", "manage"]}).json()
    assert made["used_by"] == "openclaw"
    own, where = bearer(made["secret"]), f"/api/keys/{made['id']}"
    url = people.running.url
    # It gets rid of its mark by no other key, and not by changing itself.
    assert code(httpx.post(f"{url}/api/keys", json={}, headers=own)) == (403, "permission_denied")
    assert code(httpx.patch(url + where, json={"used_by": None}, headers=own)) == (403, "permission_denied")
    assert httpx.post(f"{url}/api/keys", json={"used_by": "openclaw"}, headers=own).status_code == 201
    assert alice.patch(where, json={"name": "x"}).json()["used_by"] == "openclaw"
    assert alice.patch(where, json={"used_by": None}).json()["used_by"] is None
    for wrong in ("", "open claw", "w" * 33, 5):
        answer = alice.post("/api/agent-tokens", json={"used_by": wrong})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "used_by")
    answer = alice.post("/api/node-tokens", json={"used_by": "openclaw"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "used_by")


def test_a_gateway_that_no_plugin_knows_is_taken_for_a_slip(people, code, monkeypatch):
    alice = people("alice")
    made = alice.post("/api/keys", json={"used_by": "openclow"}).json()  # nobody knows any here
    (plugin,) = [each for each in people.running.server._app.state.plugins.ready() if each.name == "scripted"]
    monkeypatch.setattr(plugin.cls, "gateways", ("openclaw", "acme"))
    for answer in (
        alice.post("/api/keys", json={"used_by": "OpenClow"}),
        alice.patch(f"/api/keys/{made['id']}", json={"used_by": "openclow"}),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "used_by")
        assert "'openclow'" in error["message"]
        assert "Did you mean 'openclaw'? There is: acme, openclaw." in error["message"]
    assert alice.patch(f"/api/keys/{made['id']}", json={"name": "x"}).json()["used_by"] == "openclow"
    assert alice.patch(f"/api/keys/{made['id']}", json={"used_by": "OpenClaw"}).json()["used_by"] == "openclaw"
    assert alice.post("/api/agent-tokens", json={"used_by": "ACME"}).json()["used_by"] == "acme"


def test_agent_and_node_tokens(people, code):
    alice = people("alice")
    agent = alice.post("/api/agent-tokens", json={"name": "bot"}).json()
    assert agent["path"] == f"/api/agent/{agent['secret']}"
    assert httpx.get(people.running.url + agent["path"] + "/v1/models").status_code == 200
    node = alice.post("/api/node-tokens", json={"name": "box"}).json()
    assert (node["scopes"], node["path"]) == (["node"], None)
    for path, made in zip(PATHS[1:], (agent, node), strict=True):
        (listed,) = alice.get(path).json()["data"]
        assert listed["id"] == made["id"]
        assert made["secret"] not in alice.get(f"{path}/{made['id']}").text
    assert code(alice.get(f"/api/keys/{agent['id']}")) == (404, "not_found")
    for body in ({"models": ["x"]}, {"budgets": {"day": 1}}, {"limits": {"requests_per_minute": 1}}):
        assert alice.post("/api/node-tokens", json=body).status_code == 400, body
    assert code(alice.post("/api/agent-tokens", json={"scopes": ["manage"]})) == (400, None)


def test_nobody_sees_or_touches_what_is_anothers(people, code):
    alice, bob = people("alice"), people("bob")
    for path in PATHS:
        made = alice.post(path, json={}).json()
        where = f"{path}/{made['id']}"
        nothing = f"{path}/cred_{'0' * 16}"
        assert bob.get(path).json() == {"data": []}
        for method, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
            answer, missing = bob.request(method, where, json=body), bob.request(method, nothing, json=body)
            assert code(answer) == code(missing) == (404, "not_found")
            assert answer.content == missing.content
        assert alice.get(where).json()["revoked_at"] is None


@pytest.fixture
def key_of(people):
    """A client that has a key of alice's, made by her with these terms."""
    alice, clients = people("alice"), []

    def key(**terms):
        made = alice.post("/api/keys", json=terms)
        assert made.status_code == 201, made.text
        clients.append(httpx.Client(base_url=people.running.url, headers=bearer(made.json()["secret"]), timeout=30))
        clients[-1].id = made.json()["id"]
        return clients[-1]

    yield key
    for client in clients:
        client.close()


class TestAKeyMakesKeys:
    def test_for_what_it_may_itself(self, key_of, code):
        key = key_of(scopes=["account", "manage"])
        assert key.post("/api/keys", json={"scopes": ["account"]}).status_code == 201
        assert key.post("/api/node-tokens", json={}).status_code == 201
        assert code(key.post("/api/keys", json={})) == (403, "permission_denied")  # it is not for inference
        assert code(key.post("/api/agent-tokens", json={})) == (403, "permission_denied")

    def test_no_wider_than_itself(self, key_of, code):
        narrow = key_of(scopes=["inference", "account", "manage"], models=["a"])
        made = narrow.post("/api/keys", json={"models": ["a"]})
        assert made.status_code == 201, made.text
        for terms in ({"models": ["a", "b"]}, {"models": None}, {}):
            assert code(narrow.post("/api/keys", json=terms)) == (403, "permission_denied"), terms
        for terms in ({"models": ["b"]}, {"models": None}):
            for where in (narrow.id, made.json()["id"]):  # its own terms neither
                assert code(narrow.patch(f"/api/keys/{where}", json=terms)) == (403, "permission_denied"), terms

    def test_not_around_its_limits(self, key_of, code):
        limits = {"requests_per_minute": 5}
        limited = key_of(scopes=["inference", "account", "manage"], limits=limits)
        for body in ({}, {"limits": limits}):
            for path in ("/api/keys", "/api/agent-tokens"):  # each of them would have as many again
                assert code(limited.post(path, json=body)) == (403, "permission_denied")
            assert code(limited.patch(f"/api/keys/{limited.id}", json=body)) == (403, "permission_denied")
        assert limited.post("/api/node-tokens", json={}).status_code == 201

    def test_no_longer_than_itself(self, key_of, code):
        soon = int(time.time()) + 3600
        short = key_of(scopes=["inference", "account", "manage"], expires_at=soon)
        for path in PATHS:
            made = short.post(path, json={"expires_at": soon})
            assert made.status_code == 201, made.text
            for ends in ({"expires_at": soon + 1}, {"expires_at": None}):
                assert code(short.post(path, json=ends)) == (403, "permission_denied"), (path, ends)
                for where in (f"{path}/{made.json()['id']}", f"/api/keys/{short.id}"):
                    assert code(short.patch(where, json=ends)) == (403, "permission_denied"), (where, ends)
            assert short.patch(f"{path}/{made.json()['id']}", json={"expires_at": soon - 60}).status_code == 200

    def test_not_around_its_budget(self, key_of, code):
        rich = key_of(scopes=["inference", "account", "manage"])
        poor = key_of(scopes=["inference", "account", "manage"], budgets={"total": 1_000})
        for body in ({}, {"budgets": {"total": 1_000}}):
            assert code(poor.post("/api/keys", json=body)) == (403, "permission_denied")
            assert code(poor.post("/api/agent-tokens", json=body)) == (403, "permission_denied")
            assert code(poor.patch(f"/api/keys/{poor.id}", json=body)) == (403, "permission_denied")
            assert code(poor.patch(f"/api/keys/{rich.id}", json=body)) == (403, "permission_denied")
        assert poor.post("/api/node-tokens", json={}).status_code == 201
        assert poor.delete(f"/api/keys/{poor.id}").status_code == 200


BODIES = [
    (b"", None),
    (b"[]", None),
    (b"{", None),
    (b'{"nmae":"x"}', "nmae"),
    (b'{"limits":{"requests_per_minutes":1}}', "limits.requests_per_minutes"),
    (b'{"name":"a","name":"b"}', "name"),
    (b'{"name":7}', "name"),
    (b'{"name":"\\u0000"}', "name"),
    (b'{"name":"\\ud800"}', None),
    (b'{"name":"' + b"x" * 65 + b'"}', "name"),
    (b'{"scopes":["root"]}', "scopes[0]"),
    (b'{"scopes":[]}', "scopes"),
    (b'{"scopes":["admin"]}', "scopes"),
    (b'{"expires_at":1}', "expires_at"),
    (b'{"expires_at":1e3}', "expires_at"),
    (b'{"expires_at":99999999999999999999}', "expires_at"),
    (b'{"models":[]}', "models"),
    (b'{"models":["\\u0000"]}', "models"),
    (b'{"limits":{"tokens_per_minute":0}}', "limits.tokens_per_minute"),
    (b'{"budgets":{"day":-1}}', "budgets.day"),
    (b'{"budgets":{"day":"5"}}', "budgets.day"),
    (b'{"budgets":{"day":true}}', "budgets.day"),
    (b'{"budgets":{"day":100000000000000001}}', "budgets.day"),
]


def test_bodies_that_are_none(people):
    alice = people("alice")
    for body, param in BODIES:
        answer = alice.post("/api/keys", content=body)
        refused = [answer.status_code, answer.json()["error"]["param"]]
        # The scope that nobody but an administrator may have is refused for who asks, not for what is asked.
        assert refused == ([403, None] if b"admin" in body else [400, param]), (body, answer.text)
    assert alice.get("/api/keys").json() == {"data": []}


def test_what_is_refused_is_told_what_there_is(people):
    root = people("root", admin=True)
    for path, body, expected in (
        ("keys", {"scopes": ["inference", "root"]}, "It must be one of: inference, node, account, manage, admin."),
        ("keys", {"limits": {"rpm": 1}}, "There are: requests_per_minute, tokens_per_minute, concurrent_requests."),
        ("keys", {"route": {"max_price": "cheap"}}, "Expected a decimal number, such as 12.5."),
        ("deposits", {"amount_eur": True}, "Expected a decimal number or null, got a boolean."),
        (
            "admin/payouts?status=lost",
            None,
            "It must be one of: awaiting_approval, held, submitted, unknown, paid, failed.",
        ),
    ):
        answer = root.get(f"/api/{path}") if body is None else root.post(f"/api/{path}", json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].endswith(expected), (path, body)
    missing = root.delete("/api/admin/prices").json()["error"]
    assert (missing["message"], missing["param"]) == ("Missing required parameter: 'model'.", "model")


def test_unknown_parameters_and_ids(people):
    alice = people("alice")
    for path, param in (
        ("keys?limit=1", "limit"),
        ("wallet?limt=1", "limt"),
        ("wallet?cookies=1", "cookies"),
        ("wallet?database=1", "database"),
        (f"keys/cred_{'0' * 16}?credential_id=1", "credential_id"),
        ("wallet?limit=0", "limit"),
    ):
        answer = alice.get(f"/api/{path}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), path
    message = alice.get("/api/wallet?limt=1").json()["error"]["message"]
    assert message == "Unknown parameter: 'limt'. There are: before, limit."
    twice = alice.get("/api/wallet?limit=1&limit=2").json()["error"]
    assert (twice["message"], twice["param"]) == ("The parameter 'limit' is given twice.", "limit")
    for name in ("%00", "x", "cred_%2e", "lp_" + "x" * 42):
        answer = alice.get(f"/api/keys/{name}")
        assert answer.status_code == 400
        assert "lp_" not in answer.text
