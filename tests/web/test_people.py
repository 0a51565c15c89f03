"""/api/account over HTTP: what a browser, a script and an attacker meet."""

import json
import re
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import update

from lightphon_core.accounts import passwords
from lightphon_core.accounts.device_cookies import DEVICE_COOKIE, SECURE_DEVICE_COOKIE
from lightphon_core.accounts.invites import create_invite
from lightphon_core.accounts.people import find_account
from lightphon_core.accounts.sessions import COOKIE, SECURE_COOKIE
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings, ServerSettings
from lightphon_core.storage.schema import sessions
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.web.api.origin import origin_of

PASSWORD = "correct horse battery"
ALICE = {"name": "alice", "password": PASSWORD}
CHANGING = [
    ("POST", "/api/account/register", ALICE),
    ("POST", "/api/account/login", ALICE),
    ("POST", "/api/account/logout", None),
    ("POST", "/api/account/password", {"current_password": PASSWORD, "new_password": "another password"}),
    ("DELETE", "/api/account", None),
]


@pytest.fixture(autouse=True)
def _cheap_argon2(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def start(start_server):
    def start(registration="open", **settings):
        source = plugin_of(ScriptedBackend(says("x")))
        server = ServerSettings(**settings.pop("server", {}))
        return start_server(source, accounts=AccountSettings(registration=registration, **settings), server=server)

    return start


@pytest.fixture(autouse=True)
def _close_browsers():
    yield
    while Browser.opened:
        Browser.opened.pop().close()


class Browser(httpx.Client):
    """Keeps cookies, and names the origin of its page as browsers do. Closed as the test ends."""

    opened: ClassVar[list] = []

    def __init__(self, running, **headers):
        self.opened.append(self)
        super().__init__(base_url=running.url, headers={"origin": running.url, **headers}, timeout=30)

    def register(self, **more):
        return self.post("/api/account/register", json={**ALICE, **more})

    def login(self, **more):
        return self.post("/api/account/login", json={**ALICE, **more})


def code(answer):
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["code"]


def test_from_registration_to_leaving(start):
    browser = Browser(running := start())
    assert code(browser.get("/api/account")) == (401, "not_logged_in")
    answer = browser.register()
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "alice"
    assert answer.json()["is_admin"] is False
    session, device = answer.headers.get_list("set-cookie")
    assert re.fullmatch(COOKIE + r"=ls_[A-Za-z0-9]{36}; HttpOnly; Max-Age=1209600; Path=/; SameSite=lax", session)
    assert re.fullmatch(
        DEVICE_COOKIE + r"=ld_\w+; HttpOnly; Max-Age=31536000; Path=/api/account/login; SameSite=strict", device
    )
    assert answer.headers["cache-control"] == "no-store"
    shown = browser.get("/api/account").json()
    assert shown == {**answer.json(), "recent_password": True}

    other = Browser(running)
    assert other.login().json()["id"] == shown["id"]
    change = {"current_password": PASSWORD, "new_password": "another password"}
    assert code(browser.post("/api/account/password", json={**change, "current_password": "x"})) == (
        401,
        "invalid_login",
    )
    assert other.get("/api/account").status_code == 200
    assert browser.post("/api/account/password", json=change).status_code == 200
    assert browser.get("/api/account").status_code == 200
    assert code(other.get("/api/account")) == (401, "session_ended")
    assert code(other.login()) == (401, "invalid_login")
    assert other.login(password="another password").status_code == 200

    token = browser.cookies[COOKIE]
    assert browser.post("/api/account/logout").json() == {"logged_out": True}
    assert COOKIE not in browser.cookies
    assert code(browser.get("/api/account", headers={"cookie": f"{COOKIE}={token}"})) == (401, "session_ended")
    assert browser.post("/api/account/logout").status_code == 200

    assert other.delete("/api/account").json() == {"deleted": True}
    assert code(other.get("/api/account")) == (401, "not_logged_in")
    assert code(other.login(password="another password")) == (401, "invalid_login")


def test_logging_out_everywhere_else(start):
    running = start()
    browser, phone, cafe = (Browser(running) for _ in range(3))
    browser.register()
    bob = Browser(running)
    bob.register(name="bob")
    assert "Nobody but this browser" in browser.get("/account").text
    assert [each.login().status_code for each in (phone, cafe)] == [200, 200]
    key = browser.post("/api/keys", json={"scopes": ["account", "manage"]}).json()["secret"]
    page = browser.get("/account").text
    assert "Beside this browser, 2 others are logged in" in page
    (path,) = re.findall(r'data-api="DELETE (/api/account/sessions)"', page)
    assert browser.delete(path).json() == {"logged_out": True}
    assert [code(each.get("/api/account")) for each in (phone, cafe)] == [(401, "session_ended")] * 2
    assert [each.get("/api/account").status_code for each in (browser, bob)] == [200, 200]
    phone.login()
    assert "Beside this browser, 1 other is logged in" in browser.get("/account").text
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {key}"}) as program:
        assert program.delete(path).status_code == 200
        assert program.get("/api/account").status_code == 200
    assert [code(each.get("/api/account")) for each in (browser, phone)] == [(401, "session_ended")] * 2


def test_behind_https_the_cookie_says_so(start):
    running = start(server={"public_url": "https://Ai.example.org:443/"})
    browser = Browser(running, origin="https://ai.example.org")
    cookie, device = browser.register().headers.get_list("set-cookie")
    assert cookie.startswith(f"{SECURE_COOKIE}=ls_")
    assert cookie.endswith("; HttpOnly; Max-Age=1209600; Path=/; SameSite=lax; Secure")
    assert device.startswith(f"{SECURE_DEVICE_COOKIE}=ld_")
    assert device.endswith("; HttpOnly; Max-Age=31536000; Path=/api/account/login; SameSite=strict; Secure")
    assert "domain" not in cookie.lower() + device.lower()
    assert code(Browser(running).login()) == (403, "wrong_origin")  # the address behind the proxy is not ours
    # What a neighbouring host or plain http can set stands for nobody: a stranger's session could be planted by it.
    token = cookie.partition("=")[2].partition(";")[0]
    planted, own = (
        {"cookie": f"{name}={token}", "origin": "https://ai.example.org"} for name in (COOKIE, SECURE_COOKIE)
    )
    assert httpx.get(f"{running.url}/api/account", headers=own).json()["name"] == "alice"
    assert code(httpx.get(f"{running.url}/api/account", headers=planted)) == (401, "not_logged_in")
    httpx.post(f"{running.url}/api/account/logout", headers=planted)
    assert httpx.get(f"{running.url}/api/account", headers=own).status_code == 200


class TestEnumeration:
    def test_an_unknown_name_answers_as_a_wrong_password(self, start):
        browser = Browser(start())
        browser.register()
        browser.cookies.clear()
        wrong, unknown = browser.login(password="wrong"), browser.login(name="bob")
        assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)
        own = {"x-request-id", "date"}
        assert {k: v for k, v in wrong.headers.items() if k not in own} == {
            k: v for k, v in unknown.headers.items() if k not in own
        }
        assert "set-cookie" not in wrong.headers

    def test_attempts_are_limited(self, start):
        running = start(logins_per_minute=3)
        browser = Browser(running)
        for name in ("alice", "nobody"):
            assert [browser.login(name=name, password="wrong").status_code for _ in range(4)] == [401] * 3 + [429]
            refused = browser.login(name=name)
            assert code(refused) == (429, "rate_limit_exceeded")
            assert 1 <= int(refused.headers["retry-after"]) <= 20

    def test_attempts_are_limited_by_address(self, start):
        browser = Browser(start(logins_per_minute_per_address=2))
        answers = [browser.login(name=f"name-{number}").status_code for number in range(3)]
        assert answers == [401, 401, 429]
        assert code(browser.register()) == (429, "rate_limit_exceeded")


class TestKnownBrowsers:
    """By the device cookie: attempts of others keep nobody out of an account whose browser was logged in to it."""

    def test_its_owner_logs_in_while_strangers_try_the_name(self, start):
        running = start(logins_per_minute=3)
        browser = Browser(running)
        browser.register()
        browser.post("/api/account/logout")
        assert list(browser.cookies) == [DEVICE_COOKIE]
        stranger = Browser(running)
        for _ in range(3):
            assert code(stranger.login(password="wrong")) == (401, "invalid_login")
        assert code(stranger.login()) == (429, "rate_limit_exceeded")
        assert browser.login().status_code == 200
        for _ in range(3):
            assert code(browser.login(password="wrong")) == (401, "invalid_login")
        refused = browser.login()
        assert code(refused) == (429, "rate_limit_exceeded")
        assert "3 log-in attempts a minute for this browser" in refused.json()["error"]["message"]

    def test_any_other_cookie_is_answered_as_none(self, start):
        running = start()
        owner, bob = Browser(running), Browser(running)
        owner.register()
        bob.register(name="bob")
        before = owner.cookies[DEVICE_COOKIE]
        owner.post("/api/account/password", json={"current_password": PASSWORD, "new_password": "another password"})
        now = owner.cookies[DEVICE_COOKIE]
        shown = [None, before, bob.cookies[DEVICE_COOKIE], f"{now[:30]}0{now[31:]}x", now[:-1], "ld_", "\xe9"]
        answers = set()
        for cookie in shown:
            for name in ("alice", "nobody"):
                headers = {} if cookie is None else {"cookie": f"{DEVICE_COOKIE}={cookie}".encode("latin-1")}
                stranger = Browser(running)
                answer = stranger.post("/api/account/login", json={"name": name, "password": "wrong"}, headers=headers)
                told = [(k, v) for k, v in answer.headers.items() if k not in ("x-request-id", "date")]
                answers.add((answer.status_code, answer.content, *told))
        assert {each[0] for each in answers} == {401}
        assert len(answers) == 1
        assert owner.login(password="another password").status_code == 200

    def test_it_opens_nothing(self, start):
        running = start()
        browser = Browser(running)
        device = browser.register().cookies[DEVICE_COOKIE]
        for name in (COOKIE, DEVICE_COOKIE):
            shown = Browser(running).get("/api/account", headers={"cookie": f"{name}={device}"})
            assert shown.status_code == 401
        assert DEVICE_COOKIE not in str(browser.get("/api/account").request.headers)  # it goes to the log-in alone

    def test_behind_https_one_of_the_plain_name_is_none(self, start):
        running = start(server={"public_url": "https://ai.example.org"}, logins_per_minute=1)
        browser = Browser(running, origin="https://ai.example.org")
        _, device = browser.register().headers.get_list("set-cookie")
        value = device.partition("=")[2].partition(";")[0]
        statuses = []
        for name in (DEVICE_COOKIE, DEVICE_COOKIE, SECURE_DEVICE_COOKIE):
            browser.cookies.clear()
            login = {"headers": {"cookie": f"{name}={value}"}, "json": {"name": "alice", "password": "wrong"}}
            statuses.append(browser.post("/api/account/login", **login).status_code)
        assert statuses == [401, 429, 401]


class TestOrigin:
    def test_other_sites_change_nothing(self, start):
        running = start()
        browser = Browser(running)
        assert browser.register().status_code == 200
        port = urlsplit(running.url).port
        elsewhere = ["https://evil.example", "null", "", f"http://127.0.0.1:{port + 1}", f"https://127.0.0.1:{port}"]
        for method, path, body in CHANGING:
            for origin in elsewhere:
                answer = browser.request(method, path, json=body, headers={"origin": origin})
                assert code(answer) == (403, "wrong_origin"), (path, origin)
        del browser.headers["origin"]
        for method, path, body in CHANGING:
            assert code(browser.request(method, path, json=body)) == (403, "wrong_origin"), path
        assert browser.get("/api/account").json()["name"] == "alice"

    def test_nobody_is_logged_in_from_another_site(self, start):
        running = start()
        Browser(running).register()
        stranger = Browser(running, origin="https://evil.example")  # brings no cookie, and would be given one
        for answer in (stranger.login(), stranger.register(name="bob")):
            assert code(answer) == (403, "wrong_origin")
            assert "set-cookie" not in answer.headers

    def test_a_program_without_cookies_needs_no_origin(self, start):
        running = start()
        answer = httpx.post(f"{running.url}/api/account/register", json=ALICE)
        assert answer.status_code == 200

    def test_our_own_origin(self):
        assert origin_of(None, "LocalHost:8000") == "http://localhost:8000"
        assert origin_of(None, "host:80") == "http://host"
        assert origin_of("https://Host:8443/x", "other") == "https://host:8443"
        assert origin_of("http://host:80", None) == "http://host"
        assert origin_of(None, None) is None


class TestSessions:
    def test_a_planted_cookie_does_not_become_a_session(self, start):
        running = start()
        Browser(running).register()
        planted = "ls_" + "x" * 36
        victim = Browser(running)
        victim.cookies.set(COOKIE, planted, domain="127.0.0.1")
        token = re.search(r"ls_\w+", victim.login().headers["set-cookie"])[0]
        assert token != planted
        attacker = Browser(running)
        assert code(attacker.get("/api/account", headers={"cookie": f"{COOKIE}={planted}"})) == (401, "session_ended")

    def test_logging_in_again_ends_the_session_before(self, start):
        running = start()
        browser = Browser(running)
        browser.register()
        before = browser.cookies[COOKIE]
        browser.login()
        assert browser.cookies[COOKIE] != before
        old = Browser(running).get("/api/account", headers={"cookie": f"{COOKIE}={before}"})
        assert code(old) == (401, "session_ended")

    def test_deleting_needs_a_recent_password(self, start):
        running = start()
        browser = Browser(running)
        browser.register()
        with running.server.database.transaction() as connection:
            connection.execute(update(sessions).values(recent_until=1))
        assert browser.get("/api/account").json()["recent_password"] is False
        assert code(browser.delete("/api/account")) == (403, "password_required")
        browser.login()
        assert browser.delete("/api/account").status_code == 200

    def test_an_expired_one_opens_nothing(self, start):
        running = start()
        browser = Browser(running)
        browser.register()
        with running.server.database.transaction() as connection:
            connection.execute(update(sessions).values(expires_at=1))
        assert code(browser.get("/api/account")) == (401, "session_ended")

    def test_inference_knows_no_cookies(self, start):
        running = start()
        browser = Browser(running)
        browser.register()
        chat = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
        assert code(browser.post("/v1/chat/completions", json=chat)) == (401, "invalid_api_key")
        for path in ("/v1/models", "/models", "/v1/models/auto"):
            assert code(browser.get(path)) == (401, "invalid_api_key"), path

    def test_keys_and_tokens_open_no_account(self, start):
        running = start()
        browser = Browser(running)
        browser.register()  # not even beside a good session
        for secret, expected in [
            (running.api_key, (403, "permission_denied")),
            (running.node_token, (403, "permission_denied")),
            (running.agent_token, (401, "invalid_api_key")),
        ]:
            headers = {"authorization": f"Bearer {secret}"}
            if secret == running.agent_token:
                browser.cookies.clear()  # as a bearer it is nobody's
            assert code(browser.get("/api/account", headers=headers)) == expected
            assert code(browser.delete("/api/account", headers=headers)) == expected
            change = {"current_password": PASSWORD, "new_password": "another password"}
            assert code(browser.post("/api/account/password", json=change, headers=headers)) == expected


class TestRegistration:
    def test_closed_unless_told(self, start):
        running = start("closed")
        assert AccountSettings().registration == "closed"
        assert code(Browser(running).register()) == (403, "registration_closed")

    def test_by_invitation(self, start):
        running = start("invite")
        with running.server.database.transaction() as connection:
            invite = create_invite(connection, now=running.server.gateway.clock.now(), lifetime_s=60)
        assert code(Browser(running).register()) == (403, "invitation_required")
        assert code(Browser(running).register(invite="li_nothing")) == (403, "invitation_required")
        assert Browser(running).register(invite=invite).status_code == 200
        assert code(Browser(running).register(name="bob", invite=invite)) == (403, "invitation_required")

    def test_a_name_is_taken_once(self, start):
        running = start()
        assert Browser(running).register().status_code == 200
        assert code(Browser(running).register(name="Alice")) == (400, "account_exists")


BODIES = [
    b"",
    b"[]",
    b"{",
    b'{"name":"alice"}',
    b'{"name":"alice","password":7}',
    b'{"name":"alice","name":"bob","password":"correct horse battery"}',
    b'{"name":"alice","password":"short"}',
    b'{"name":"\\u0000","password":"correct horse battery"}',
    b'{"name":"alice","password":"correct horse \\ud800"}',
    json.dumps({"name": "alice", "password": "canary" * 200}).encode(),
    json.dumps({"name": "a" * 65, "password": PASSWORD}).encode(),
]


def test_bodies_that_are_none(start):
    browser = Browser(start())
    for body in BODIES:
        answer = browser.post("/api/account/register", content=body)
        assert answer.status_code == 400, body
        assert "canary" not in answer.text
        assert "horse" not in answer.text


def test_a_body_over_the_limit(start):
    answer = Browser(start()).login(password="x" * 20_000)
    assert code(answer) == (413, "request_too_large")


def test_nobody_leaves_with_money(start):
    running = start()
    browser = Browser(running)
    account = browser.register().json()["id"]
    with running.server.database.transaction() as connection:
        carry_out(connection, [adjustment.credit(account, 7_000, "gift")])
    refused = browser.delete("/api/account")
    assert code(refused) == (400, "account_has_obligations")
    assert "7 sats" in refused.json()["error"]["message"]
    for odd in ("-1", "1.5", "x", 10**40):
        assert code(browser.delete("/api/account", params={"give_up_msat": odd}))[0] == 400, odd
    assert code(browser.delete("/api/account", params={"give_up_msat": 6_999})) == (400, "account_has_obligations")
    with running.server.database.snapshot() as connection:
        assert find_account(connection, "alice") is not None
    bound = {"name": "bound", "scopes": ["inference", "manage"], "budgets": {"day": 1_000}}
    key = browser.post("/api/keys", json=bound).json()["secret"]
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {key}"}) as program:
        refused = program.delete("/api/account", params={"give_up_msat": 7_000})
    assert code(refused) == (403, "permission_denied")
    assert "cannot give up what is in the wallet" in refused.json()["error"]["message"]
    said = browser.get("/account").text
    assert re.search(r"<input type=.checkbox. required>I give up the 7 sats", said)
    (path,) = re.findall(r'data-api="DELETE (/api/account[^"]*)"', said)
    assert browser.delete(path).json() == {"deleted": True}
    with running.server.database.snapshot() as connection:
        assert find_account(connection, "alice") is None
        assert verify(connection) == []


def test_a_stolen_database_opens_nothing(start, capfd):
    running = start("invite")
    browser = Browser(running)
    with running.server.database.transaction() as connection:
        invites = [create_invite(connection, now=running.server.gateway.clock.now(), lifetime_s=60) for _ in range(2)]
    assert browser.register(invite=invites[0]).status_code == 200
    browser.login(name=PASSWORD)  # typed into the wrong field
    token = browser.cookies[COOKIE]
    stolen = b"".join(path.read_bytes() for path in running.server.data_dir.glob("lightphon.db*"))
    assert b"$argon2id$" in stolen
    for secret in (PASSWORD, token, token[3:], *invites):
        assert secret.encode() not in stolen
    logged = capfd.readouterr()
    for secret in (PASSWORD, token, *invites):
        assert secret not in logged.err + logged.out
