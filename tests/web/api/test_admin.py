"""/api/admin: accounts looked through, made, blocked, credited and debited; and who did it."""

import asyncio

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from lightphon_core.accounts import passwords
from lightphon_core.ledger.audit import verify
from lightphon_core.storage.schema import entries

REASON = {"amount_msat": 5_000, "reason": "a gift"}


@pytest.fixture(autouse=True)
def _cheap_argon2(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def path_of(client, verb=""):
    return f"/api/admin/accounts/{client.account.id}{verb}"


def test_accounts_are_paged_and_searched(people):
    root = people("root", admin=True)
    for name in ("alice", "Alfred", "bob_1"):
        people(name)
    names, after = [], ""
    for _ in range(50):
        page = root.get("/api/admin/accounts", params={"limit": 2, "after": after}).json()
        names += [each["name"] for each in page["data"]]
        assert len(page["data"]) <= 2
        if page["next"] is None:
            break
        after = page["next"]
    assert len(names) == len(set(names))
    assert sorted(name for name in names if not name.isdigit()) == sorted(["root", "test", "alice", "Alfred", "bob_1"])
    found = root.get("/api/admin/accounts", params={"search": "AL"}).json()["data"]
    assert {each["name"] for each in found} == {"alice", "Alfred"}
    assert root.get("/api/admin/accounts", params={"search": "b_"}).json()["data"][0]["name"] == "bob_1"
    assert root.get("/api/admin/accounts", params={"search": "a_i"}).json()["data"] == []  # no wildcard


def test_an_account_is_made_and_logs_in(people, code):
    root = people("root", admin=True)
    name = f"carol-{root.account.id}"
    made = root.post("/api/admin/accounts", json={"name": name, "password": "correct horse battery"})
    assert made.status_code == 201, made.text
    assert made.json() == {**made.json(), "name": name, "is_admin": False, "blocked_at": None}
    login = {"name": name, "password": "correct horse battery"}
    assert httpx.post(people.running.url + "/api/account/login", json=login).status_code == 200
    assert code(root.post("/api/admin/accounts", json={"name": name})) == (400, "account_exists")
    assert root.post("/api/admin/accounts", json={"name": f"dave-{root.account.id}"}).status_code == 201
    assert root.post("/api/admin/accounts", json={"name": "erin", "password": "short"}).status_code == 400
    assert root.post("/api/admin/accounts", json={"name": "erin", "is_admin": True}).status_code == 400


def test_an_account_is_seen_whole_without_its_secrets(people):
    root, alice = people("root", admin=True), people("alice")
    made = [alice.post(path, json={"name": "mine"}).json() for path in ("/api/keys", "/api/node-tokens")]
    root.post(path_of(alice, "/credit"), json=REASON)
    shown = root.get(path_of(alice))
    whole = shown.json()
    assert whole["account"]["name"] == "alice"
    assert whole["wallet"]["available"] == "5"
    assert [(each["kind"], each["name"]) for each in whole["credentials"]] == [
        ("api_key", "mine"),
        ("node_token", "mine"),
    ]
    assert whole["usage"]["data"] == []
    assert not any(each["secret"] in shown.text for each in made)


def test_blocking_ends_what_an_account_can_do(people, code):
    root, alice = people("root", admin=True), people("alice")
    key = {"authorization": f"Bearer {alice.post('/api/keys', json={}).json()['secret']}"}
    blocked = root.post(path_of(alice, "/block")).json()
    assert blocked["blocked_at"] is not None
    assert root.post(path_of(alice, "/block")).json() == blocked
    assert code(alice.get("/api/account")) == (401, "account_blocked")
    assert code(httpx.get(people.running.url + "/v1/models", headers=key)) == (401, "account_blocked")
    assert root.post(path_of(alice, "/unblock")).json()["blocked_at"] is None
    assert alice.get("/api/account").status_code == 200
    assert httpx.get(people.running.url + "/v1/models", headers=key).status_code == 200


def test_the_last_administrator_stays(people, code):
    root = people("root", admin=True)
    assert code(root.post(path_of(root, "/block"))) == (400, "last_administrator")
    refused = root.delete("/api/account")
    assert code(refused) == (400, "account_has_obligations")
    assert "last administrator" in refused.json()["error"]["message"]
    other = people("other", admin=True)
    assert other.post(path_of(root, "/block")).status_code == 200
    assert code(other.post(path_of(other, "/block"))) == (400, "last_administrator")
    assert code(other.delete("/api/account")) == (400, "account_has_obligations")
    assert other.post(path_of(root, "/unblock")).status_code == 200
    assert other.delete("/api/account").status_code == 200


class TestAdjustments:
    def test_credit_and_debit(self, people, code):
        root, alice = people("root", admin=True), people("alice")
        credited = root.post(path_of(alice, "/credit"), json=REASON).json()
        assert credited == {"entry": credited["entry"], "repeated": False, "available_msat": 5_000}
        debited = root.post(path_of(alice, "/debit"), json={"amount_msat": 2_000, "reason": "too much"}).json()
        assert debited["available_msat"] == 3_000
        assert code(root.post(path_of(alice, "/debit"), json=REASON)) == (400, "insufficient_balance")
        lines = alice.get("/api/wallet").json()["statement"]
        assert [(line["amount_msat"], line["note"]) for line in lines] == [(-2_000, "too much"), (5_000, "a gift")]
        with people.running.server.database.snapshot() as connection:
            by = select(entries.c.source).where(entries.c.id == credited["entry"])
            assert connection.scalar(by) == root.account.id  # who did it
            assert verify(connection) == []

    def test_a_key_makes_it_happen_once(self, people, code):
        root, alice, bob = people("root", admin=True), people("alice"), people("bob")
        once = {"idempotency-key": "2026-07/alice"}
        first = root.post(path_of(alice, "/credit"), json=REASON, headers=once).json()
        again = root.post(path_of(alice, "/credit"), json=REASON, headers=once).json()
        assert again == {**first, "repeated": True}
        for other in ({**REASON, "amount_msat": 6_000}, {**REASON, "reason": "another"}):
            refused = root.post(path_of(alice, "/credit"), json=other, headers=once)
            assert code(refused) == (400, "idempotency_key_reused")
        assert code(root.post(path_of(alice, "/debit"), json=REASON, headers=once)) == (400, "idempotency_key_reused")
        assert alice.get("/api/wallet").json()["available_msat"] == 5_000
        # The same key is another one for another account, and for another administrator.
        assert root.post(path_of(bob, "/credit"), json=REASON, headers=once).json()["repeated"] is False
        other = people("other", admin=True)
        assert other.post(path_of(bob, "/credit"), json=REASON, headers=once).json()["repeated"] is False
        refused = root.post(path_of(bob, "/credit"), json=REASON, headers={"idempotency-key": ""})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "idempotency-key")

    def test_a_key_makes_it_happen_once_however_many_ask_at_once(self, people):
        root, alice = people("root", admin=True), people("alice")
        assert root.get("/api/account").status_code == 200  # unfamiliar sessions wait in a narrow lane

        async def all_at_once():
            async with httpx.AsyncClient(
                base_url=people.running.url, headers=root.headers, cookies=root.cookies, timeout=30
            ) as client:
                ask = [
                    client.post(path_of(alice, "/credit"), json=REASON, headers={"idempotency-key": "k"})
                    for _ in range(10)
                ]
                return [answer.json() for answer in await asyncio.gather(*ask)]

        answers = asyncio.run(all_at_once())
        assert sorted(each["repeated"] for each in answers) == [False] + [True] * 9
        assert len({each["entry"] for each in answers}) == 1
        assert alice.get("/api/wallet").json()["available_msat"] == 5_000

    def test_what_is_no_adjustment(self, people):
        root, alice = people("root", admin=True), people("alice")
        wrong = [
            {"amount_msat": 0},
            {"amount_msat": -1},
            {"amount_msat": 1.5},
            {"amount_msat": "1"},
            {"amount_msat": True},
            {"amount_msat": 10**17 + 1},
            {"amount_msat": 10**40},
            {"reason": ""},
            {"reason": " "},
            {"reason": "\0"},
            {"reason": "x" * 201},
            {"amount_sats": 1},
        ]
        for each in wrong:
            answer = root.post(path_of(alice, "/credit"), json={**REASON, **each})
            assert answer.status_code == 400, (each, answer.text)
            assert answer.json()["error"]["param"] == next(iter(each))
        assert root.post(path_of(alice, "/credit"), json=REASON).status_code == 200
        more_than_there_is = {**REASON, "amount_msat": 10**17}
        assert root.post(path_of(alice, "/credit"), json=more_than_there_is).status_code == 400
        assert root.post(f"/api/admin/accounts/acc_{'0' * 16}/credit", json=REASON).status_code == 404


def test_every_act_has_a_line_that_says_who_did_it(people, caplog):
    """Money has it in the journal besides."""
    root, alice = people("root", admin=True), people("alice")
    made = root.post("/api/admin/accounts", json={"name": f"by-{root.account.id}"}).json()
    for verb, body in (("block", None), ("unblock", None), ("credit", REASON), ("debit", REASON)):
        assert root.post(path_of(alice, f"/{verb}"), json=body).status_code == 200
    root.post("/api/admin/invites", json={})
    nothing = f"/api/admin/payouts/pay_{'0' * 32}"
    for verb, body in (("approve", None), ("reject", {"reason": "no"}), ("declare-failed", None)):
        assert root.post(f"{nothing}/{verb}", json=body).status_code == 404
    root.get("/api/admin/accounts")
    alice.post("/api/admin/invites", json={})  # she may not
    acts = [record.msg for record in caplog.records if "by" in record.msg]
    assert {(act["by"], act["credential"][:5]) for act in acts} == {(root.account.id, "sess_")}
    accounts, payouts = "/api/admin/accounts", "/api/admin/payouts/{payout_id}"
    assert [(act["path"], act.get("account") or act.get("payout")) for act in acts] == [
        (accounts, made["id"]),
        *((f"{accounts}/{{account_id}}/{verb}", alice.account.id) for verb in ("block", "unblock", "credit", "debit")),
        ("/api/admin/invites", None),
        *((f"{payouts}/{verb}", f"pay_{'0' * 32}") for verb in ("approve", "reject", "declare-failed")),
    ]
    assert "a gift" not in caplog.text


def test_an_invitation_lets_somebody_in(people):
    root = people("root", admin=True)
    made = root.post("/api/admin/invites", json={"days": 1})
    assert made.status_code == 201
    assert made.json()["invite"].startswith("li_")
    assert root.post("/api/admin/invites", json={"days": 366}).status_code == 400
    assert root.post("/api/admin/invites", json={}).status_code == 201
