"""HEAD where there is GET, and Allow as it is: over real sockets, since it is the server that leaves bodies out."""

from collections import defaultdict

import httpx
import pytest
from litestar.routes import HTTPRoute

from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.scripted import says
from lightphon_core.web.edge.methods import Methods

VALUES = {
    "{credential_id:str}": "cred_" + "x" * 16,
    "{account_id:str}": "acc_" + "x" * 16,
    "{deposit_id:str}": "dep_" + "0" * 24,
    "{payout_id:str}": "pay_" + "0" * 32,
    "{model_id:path}": "m",
}


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    source = plugin_of(ScriptedBackend(says("x")), ScriptedPayments())
    with run_server(tmp_path_factory.mktemp("methods"), source) as running:
        yield running


@pytest.fixture
def client(running):
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=30) as client:
        yield client


def filled(path):
    for place, value in VALUES.items():
        path = path.replace(place, value)
    return path if "{" not in path else None


def methods_of(running):
    found = defaultdict(set)
    for route in running.server._app.routes:
        if isinstance(route, HTTPRoute) and (path := filled(route.path)):
            found[path] |= route.methods
    return found


def test_head_is_answered_as_get_wherever_there_is_one(running, client, caplog):
    asked = [path for path, methods in methods_of(running).items() if "GET" in methods]
    assert len(asked) > 40
    for path in asked:
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b""), path
        # A status page, or a wallet, may have changed in between; but not the kind of thing that it is.
        assert head.headers.get("content-type") == whole.headers.get("content-type"), path
        assert ("content-length" in head.headers) == ("content-length" in whole.headers), path
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    logged = [line for line in said if line.get("path") == "/healthz"]
    assert {each["method"] for each in logged} == {"GET", "HEAD"}


def test_allow_names_every_method(running, client):
    for path, methods in methods_of(running).items():
        allowed = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
        told = client.options(path)
        if not path.startswith("/api/admin"):  # whose guards stand before this too
            assert (told.status_code, told.headers["allow"].split(", ")) == (204, allowed), path
        refused = client.request("PROPFIND", path)
        assert (refused.status_code, refused.headers["allow"].split(", ")) == (405, allowed), path
    assert client.head("/api/models/route").status_code == 405


def test_a_stream_ends_with_its_head(running, client):
    """One that has nothing to say for as long as nobody pays."""
    open_ = client.post("/api/deposits", json={"amount_sats": 5}).json()
    for _ in range(2):  # on one connection: the first one left nothing behind
        head = client.head(f"/api/deposits/{open_['id']}/events")
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert client.get(f"/api/deposits/{open_['id']}").json() == open_


async def test_a_fault_is_not_kept_back():
    async def broken(scope, receive, send):
        raise ZeroDivisionError

    for method in ("GET", "HEAD"):
        scope = {"type": "http", "method": method}
        with pytest.raises(ZeroDivisionError):
            await Methods(broken, {})(scope, None, None)
