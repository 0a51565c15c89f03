"""Who may use what: every route of the application, and every kind of credential, as one table.

A request carries nothing but its credential; its body is empty. So whoever may not use a route is refused with the
status that is written here, and whoever may gets past the guard, to what an empty request is answered there.
"""

import time

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from sqlalchemy import update

from lightphon_core.accounts.credentials import create_credential, revoke_credential
from lightphon_core.accounts.membership import set_password
from lightphon_core.accounts.people import create_account, set_blocked
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.accounts.terms import Terms
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.plugins import installed
from lightphon_core.settings import Secret, ServerSettings
from lightphon_core.storage.schema import accounts, credentials, microseconds
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Scope
from lightphon_core.web.pages.routes import pages
from lightphon_core.web.paths import is_open

CREDENTIALS = (
    "none",
    "inference key",
    "agent token",
    "node token",
    "account key",
    "manage key",
    "former admin key",
    "admin key",
    "admin manage key",
    "old session",
    "session",
    "old admin session",
    "admin session",
    "blocked session",
)
"""An agent token is sent as a bearer, but in the path where the path has a place for one. "former admin key" has every
scope, and its account is no administrator's any more. "old": the password was given too long ago."""

OPEN = dict.fromkeys(CREDENTIALS, "ok")
NOBODY = {
    "none": 401,
    "inference key": 403,
    "agent token": 401,
    "node token": 403,
    "account key": 403,
    "manage key": 403,
    "former admin key": 403,
    "admin key": 403,
    "admin manage key": 403,
    "old session": 403,
    "session": 403,
    "old admin session": 403,
    "admin session": 403,
    "blocked session": 401,
}
"""Who is known is told that it may not; who is not, or is blocked, that it is not known."""


def only(*names):
    return {**NOBODY, **dict.fromkeys(names, "ok")}


INFERENCE = {
    **only("inference key", "former admin key"),
    # Cookies open none of it.
    **dict.fromkeys([name for name in CREDENTIALS if "session" in name], 401),
}
BY_PATH = {**dict.fromkeys(CREDENTIALS, 401), "agent token": "ok"}
"""The token in the path alone counts, whatever else is sent."""
WALLET = only(
    "inference key", "account key", "manage key", "former admin key", *(n for n in CREDENTIALS if "session" in n)
) | {"blocked session": 401}
ACCOUNT = {**WALLET, "inference key": 403}
SESSIONS = {**NOBODY, **{name: who for name, who in WALLET.items() if "session" in name}}
MANAGE = only("manage key", "former admin key", "admin manage key", "session", "admin session")
ADMIN = only("admin key", "admin manage key", "old admin session", "admin session")
ADMIN_MANAGE = only("admin manage key", "admin session")
EVERY_KEY = {**OPEN, "none": 401, "agent token": 401, "blocked session": 401}
"""Whoever is known."""
OWN_TOKEN = dict.fromkeys(CREDENTIALS, 401)
"""A token that no account has."""

INFERENCE_PATHS = [
    ("GET", "/models", 200),
    ("GET", "/models/{model_id:path}", 200),
    ("POST", "/chat/completions", 400),
    ("POST", "/completions", 400),
    ("POST", "/fim/completions", 400),
    ("POST", "/embeddings", 400),
]
KINDS = ("keys", "agent-tokens", "node-tokens")

ROUTES = {
    # (method, path): (who may, what an empty request is answered then)
    ("GET", "/healthz"): (OPEN, 200),
    ("GET", "/readyz"): (OPEN, 200),
    ("GET", "/metrics"): (OWN_TOKEN, 200),
    ("GET", "/schema"): (OPEN, 200),
    ("GET", "/schema/openapi.json"): (OPEN, 200),
    ("GET", "/schema/{path:str}"): (OPEN, 404),
    **{(verb, root + path): (INFERENCE, ok) for root in ("", "/v1") for verb, path, ok in INFERENCE_PATHS},
    **{
        (verb, f"/api/agent/{{token:str}}{root}{path}"): (BY_PATH, ok)
        for root in ("", "/v1")
        for verb, path, ok in INFERENCE_PATHS
    },
    ("GET", "/api/status"): (OPEN, 200),
    ("POST", "/api/account/register"): (OPEN, 400),
    ("POST", "/api/account/login"): (OPEN, 400),
    ("POST", "/api/account/logout"): (OPEN, 200),
    ("DELETE", "/api/account/sessions"): (MANAGE, 200),
    ("GET", "/api/account"): (ACCOUNT, 200),
    ("POST", "/api/account/password"): (ACCOUNT, 400),
    ("DELETE", "/api/account"): (MANAGE, 400),
    ("GET", "/api/wallet"): (WALLET, 200),
    ("GET", "/api/payouts"): (ACCOUNT, 200),
    ("POST", "/api/payouts"): (MANAGE, 400),
    ("GET", "/api/payouts/{payout_id:str}"): (ACCOUNT, 404),
    ("GET", "/api/payouts/automatic"): (ACCOUNT, 404),
    ("PUT", "/api/payouts/automatic"): (MANAGE, 400),
    ("DELETE", "/api/payouts/automatic"): (MANAGE, 404),
    ("GET", "/api/admin/payouts"): (ADMIN, 200),
    **{
        ("POST", f"/api/admin/payouts/{{payout_id:str}}/{verb}"): (ADMIN_MANAGE, answered)
        for verb, answered in (("approve", 404), ("reject", 400), ("declare-failed", 404))
    },
    ("POST", "/api/admin/payouts/freeze"): (ADMIN_MANAGE, 400),
    ("POST", "/api/admin/payouts/reconcile"): (ADMIN_MANAGE, 400),
    ("GET", "/api/deposits"): (WALLET, 200),
    ("POST", "/api/deposits"): (WALLET, 400),
    ("GET", "/api/deposits/providers"): (WALLET, 200),
    ("GET", "/api/deposits/{deposit_id:str}"): (WALLET, 404),
    ("GET", "/api/deposits/{deposit_id:str}/events"): (WALLET, 404),
    ("POST", "/webhooks/{provider:str}"): (OPEN, 404),
    ("GET", "/api/usage"): (ACCOUNT, 200),
    ("GET", "/download"): (OPEN, 200),
    ("POST", "/api/models/route"): (WALLET, 400),
    ("POST", "/api/playground/chat"): (SESSIONS, 400),
    ("GET", "/api/nodes"): (ACCOUNT, 200),
    ("PUT", "/api/nodes/{node_id:str}/price"): (MANAGE, 400),
    ("DELETE", "/api/nodes/{node_id:str}/price"): (MANAGE, 400),
    **{("GET", f"/api/{kind}"): (ACCOUNT, 200) for kind in KINDS},
    **{("POST", f"/api/{kind}"): (MANAGE, 400) for kind in KINDS},
    **{("GET", f"/api/{kind}/{{credential_id:str}}"): (ACCOUNT, 404) for kind in KINDS},
    **{("PATCH", f"/api/{kind}/{{credential_id:str}}"): (MANAGE, 400) for kind in KINDS},
    **{("DELETE", f"/api/{kind}/{{credential_id:str}}"): (MANAGE, 404) for kind in KINDS},
    ("GET", "/api/admin/accounts"): (ADMIN, 200),
    ("GET", "/api/admin/accounts/{account_id:str}"): (ADMIN, 404),
    ("POST", "/api/admin/accounts"): (ADMIN_MANAGE, 400),
    **{
        ("POST", f"/api/admin/accounts/{{account_id:str}}/{verb}"): (ADMIN_MANAGE, answered)
        for verb, answered in (("block", 404), ("unblock", 404), ("credit", 400), ("debit", 400))
    },
    ("POST", "/api/admin/invites"): (ADMIN_MANAGE, 400),
    **{
        ("GET", f"/api/admin/{what}"): (ADMIN, 200)
        for what in ("plugins", "settings", "nodes", "ledger/proof", "health", "prices")
    },
    ("PUT", "/api/admin/prices"): (ADMIN_MANAGE, 400),
    ("DELETE", "/api/admin/prices"): (ADMIN_MANAGE, 400),
}
PLUGIN_ROUTES = {
    "gguf": {
        ("GET", "/download/{name:str}"): (OPEN, 404),
    },
    "openclaw": {},
    "lightning": {
        ("POST", "/api/demo-wallet/pay"): (EVERY_KEY, 400),
        ("POST", "/api/demo-wallet/invoice"): (EVERY_KEY, 400),
    },
    "card": {},
}
for plugin in installed():
    ROUTES |= PLUGIN_ROUTES[plugin.name]
ENVIRON = {"LIGHTPHON_PLUGINS_LIGHTNING_WALLET": "demo"}
"""So that every plugin has all the routes that it may have."""
PAGES = {route.path for route in Litestar([pages()], openapi_config=None, logging_config=None).routes}
"""Who may look at them is tested in tests/web/pages/test_visitors.py."""
WEBSOCKETS = {"/api/node-link"}
"""Who may open them is tested in plugins/backend_gguf/tests/hub."""
VALUES = {
    "{model_id:path}": "auto",
    "{credential_id:str}": "cred_" + "x" * 16,
    "{account_id:str}": "acc_" + "x" * 16,
    "{path:str}": "nothing",
    "{deposit_id:str}": "dep_" + "0" * 24,
    "{payout_id:str}": "pay_" + "0" * 32,
    "{provider:str}": "nobody",
    "{node_id:str}": "node-" + "x" * 20,
}
ALL = frozenset({Scope.INFERENCE, Scope.ACCOUNT, Scope.MANAGE, Scope.ADMIN})


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    sources = [plugin_of(ScriptedBackend(says("x"))), *installed()]
    server = ServerSettings(metrics_token=Secret("a token of 16 characters"))
    with run_server(tmp_path_factory.mktemp("scopes"), *sources, server=server, environ=ENVIRON) as running:
        yield running


@pytest.fixture(scope="module")
def headers(running):
    """What a request carries, by the name of the credential."""
    now = time.time()
    with running.server.database.transaction() as connection:

        def account(name, **more):
            made = create_account(connection, name, now=now, **more)
            carry_out(connection, [adjustment.credit(made.id, 1_000, "so that it cannot be deleted")])
            return made

        def key(account, *scopes, kind=Kind.API_KEY):
            terms = Terms(scopes=frozenset(scopes) if scopes else None)
            _, secret = create_credential(connection, account, kind, now=now, terms=terms)
            return {"authorization": f"Bearer {secret}"}

        def session(account, recent_s=60):
            token = open_session(connection, account.id, now=now, lifetime_s=60, recent_s=recent_s)
            return {"cookie": f"{COOKIE}={token}", "origin": running.url}

        user, admin, blocked = account("user"), account("admin", admin=True), account("blocked")
        former = account("former", admin=True)
        made = {
            "none": {},
            "inference key": key(user),
            "agent token": key(user, kind=Kind.AGENT_TOKEN),
            "node token": key(user, kind=Kind.NODE_TOKEN),
            "account key": key(user, Scope.ACCOUNT),
            "manage key": key(user, Scope.ACCOUNT, Scope.MANAGE),
            "former admin key": key(former, *ALL),
            "admin key": key(admin, Scope.ADMIN),
            "admin manage key": key(admin, Scope.ADMIN, Scope.MANAGE),
            # Each of an account of its own: whoever may ends all other sessions of the account.
            "old session": session(account("old"), recent_s=-1),
            "session": session(account("recent")),
            "old admin session": session(account("old-admin", admin=True), recent_s=-1),
            "admin session": session(account("recent-admin", admin=True)),
            "blocked session": session(blocked),
        }
        connection.execute(update(accounts).where(accounts.c.id == former.id).values(admin_since=None))
        set_blocked(connection, blocked, 1)
    assert tuple(made) == CREDENTIALS
    return made


def routes_of(app: Litestar):
    http, websockets = set(), set()
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            http |= {(method, route.path) for method in route.methods - {"OPTIONS"}}
        else:
            websockets.add(route.path)
    return http, websockets


def test_the_table_names_every_route(running):
    http, websockets = routes_of(running.server._app)
    assert {route for route in http if route[1] not in PAGES} == set(ROUTES)
    assert {method for method, path in http if path in PAGES} == {"GET"}
    assert websockets <= WEBSOCKETS
    assert all(tuple(who) == CREDENTIALS or set(who) == set(CREDENTIALS) for who, _ in ROUTES.values())


def test_inference_keys_read_the_wallet_open_deposits_ask_the_router_and_no_more():
    reading = {("GET", "/api/wallet"), ("POST", "/api/models/route")}
    reading |= {route for route in ROUTES if route[1].startswith("/api/deposits")}
    # With play money, whoever is known plays the payer.
    everybody = [route for route, (who, _) in ROUTES.items() if who in (OPEN, INFERENCE, EVERY_KEY)]
    for name in ("inference key", "agent token", "node token"):
        more = {route for route, (who, _) in ROUTES.items() if who[name] == "ok"} - set(everybody)
        more -= {route for route in more if "/api/agent/{token:str}" in route[1]}
        assert more == (reading if name == "inference key" else set()), name


def test_an_old_session_is_told_to_log_in_again(running, headers):
    for method, path in (("POST", "/api/keys"), ("DELETE", "/api/account")):
        answer = httpx.request(method, running.url + path, headers=headers["old session"])
        assert answer.json()["error"]["code"] == "password_required"


CHANGING = [
    (method, path) for method, path in ROUTES if method != "GET" and path.startswith("/api/") and not is_open(path)
]


def filled(path, token="at_none"):
    for place, value in {**VALUES, "{token:str}": token}.items():
        path = path.replace(place, value)
    return path


def test_other_sites_change_nothing(running, headers):
    assert len(CHANGING) == 35 + sum("demo-wallet" in path for _, path in ROUTES)
    for method, path in CHANGING:
        for name in ("admin session", "admin manage key", "none"):
            carried = {**headers[name], "origin": "https://evil.example"}
            answer = httpx.request(method, running.url + filled(path), headers=carried)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin"), (method, path, name)


def test_other_sites_ask_the_router_with_a_key_alone(running, headers):
    url, foreign = f"{running.url}/api/models/route", {"origin": "https://evil.example"}

    def status(**carried):
        return httpx.post(url, json={}, headers={**carried, **foreign}).status_code

    assert status(**headers["inference key"]) == 200
    assert status(**{**headers["session"], **foreign}) == 403
    for key in ("Bearer nonsense", "Basic eDp5", ""):
        assert status(cookie=headers["session"]["cookie"], authorization=key) == 401


def test_nobody_is_known_by_a_body(running):
    """Who may is asked before anything of the body is read: it is not even JSON, and far too long."""
    for method, path in CHANGING:
        if ROUTES[method, path][0] is not OPEN:
            answer = httpx.request(method, running.url + filled(path), content=b"{" * 100_000)
            assert answer.status_code == 401, (method, path)


# The route that ends a session comes last.
ORDER = sorted(ROUTES, key=lambda route: route[1].endswith("/logout"))


def refusals_of(running, carried, name, routes=ROUTES, token="at_none"):
    """What is answered in another way than the table has it."""
    wrong = []
    if name == "agent token":
        token = carried["authorization"].removeprefix("Bearer ")
    with httpx.Client(base_url=running.url, headers=carried, timeout=30) as client:
        for method, path in ORDER:
            who, answered = routes[method, path]
            expected = answered if who[name] == "ok" else who[name]
            answer = client.request(method, filled(path, token))
            if answer.status_code != expected:
                wrong.append(f"{method} {path}: {answer.status_code}, not {expected} {answer.text[:200]}")
    return wrong


@pytest.mark.parametrize("name", CREDENTIALS)
def test_scopes(running, headers, name):
    wrong = refusals_of(running, headers[name], name)
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def holds_no_more(running):
    """What a request carries, and the token in its path: all that was good for everything, and is no more."""
    now = time.time()
    terms = Terms(scopes=ALL)
    with running.server.database.transaction() as connection:
        admin, blocked = (
            create_account(connection, "boss", now=now, admin=True),
            create_account(connection, "gone", now=now, admin=True),
        )
        keys = {
            name: create_credential(connection, owner, kind, now=now, terms=terms if kind is Kind.API_KEY else None)
            for name, owner, kind in (
                ("expired key", admin, Kind.API_KEY),
                ("revoked key", admin, Kind.API_KEY),
                ("blocked key", blocked, Kind.API_KEY),
                ("revoked agent token", admin, Kind.AGENT_TOKEN),
                ("blocked node token", blocked, Kind.NODE_TOKEN),
            )
        }
        for name, (made, _) in keys.items():
            if name.startswith("revoked"):
                revoke_credential(connection, made.kind, made.id, now=now)
        ended = {"expires_at": microseconds(now)}
        connection.execute(update(credentials).where(credentials.c.id == keys["expired key"][0].id).values(ended))
        before = open_session(connection, admin.id, now=now, lifetime_s=600, recent_s=600)
        set_password(connection, admin.id, "as argon2 would have it")
        late = open_session(connection, admin.id, now=now - 60, lifetime_s=60, recent_s=60)
        set_blocked(connection, blocked, 1)
    sessions = {"expired session": late, "session of an old password": before}
    return {
        **{name: ({"authorization": f"Bearer {secret}"}, secret) for name, (_, secret) in keys.items()},
        **{name: ({"cookie": f"{COOKIE}={text}", "origin": running.url}, text) for name, text in sessions.items()},
    }


def test_what_holds_no_more_opens_nothing(running, holds_no_more):
    """Keys of an administrator for everything, expired, revoked or of a blocked account, and sessions that have ended;
    each in the path, too."""
    nothing = {
        route: (OPEN if who is OPEN else dict.fromkeys(CREDENTIALS, 401), ok) for route, (who, ok) in ROUTES.items()
    }
    for name, (carried, token) in holds_no_more.items():
        wrong = refusals_of(running, carried, "none", nothing, token=token)
        assert not wrong, "\n".join([name, *wrong])


def test_an_open_model_list_opens_nothing_else(start_server):
    """`open_models`: who sends nothing at all sees the list of models; a cookie is nothing to it."""
    sources = [plugin_of(ScriptedBackend(says("x"))), *installed()]
    server = ServerSettings(metrics_token=Secret("a token of 16 characters"), open_models=True)
    running = start_server(*sources, server=server, environ=ENVIRON)
    opened = [("GET", path) for path in ("/models", "/v1/models")]
    routes = {**ROUTES, **{route: ({**INFERENCE, "none": "ok"}, 200) for route in opened}}
    wrong = refusals_of(running, {}, "none", routes)
    assert not wrong, "\n".join(wrong)
