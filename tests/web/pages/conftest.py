"""A server with registration open, and people at it by a session's cookie, without a browser."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.settings import AccountSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says

BROWSERS = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    source = plugin_of(ScriptedBackend(says("x")))
    with run_server(tmp_path_factory.mktemp("pages"), source, accounts=AccountSettings(registration="open")) as running:
        yield running


@pytest.fixture(scope="module")
def people(running) -> Iterator[Callable[..., httpx.Client]]:
    """`people(name, admin=...)`: a client that asks as browsers do, logged in as a new account; without a name, as
    nobody. `account` is whose it is."""
    opened: list[httpx.Client] = []

    def come(name: str | None = None, *, admin: bool = False, recent_s: float = 60) -> httpx.Client:
        headers = {"accept": BROWSERS, "origin": running.url}
        if name is not None:
            now = time.time()
            with running.server.database.transaction() as connection:
                account = create_account(connection, name, now=now, admin=admin)
                token = open_session(connection, account.id, now=now, lifetime_s=600, recent_s=recent_s)
            headers["cookie"] = f"{COOKIE}={token}"
        opened.append(httpx.Client(base_url=running.url, headers=headers, timeout=30))
        opened[-1].account = None if name is None else account
        return opened[-1]

    yield come
    for client in opened:
        client.close()
