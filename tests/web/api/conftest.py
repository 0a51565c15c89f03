"""A live server on each kind of database, which the tests of a module share, and people who are logged in to it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from sqlalchemy import update

from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.settings import StorageSettings
from lightphon_core.storage.schema import accounts
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request, run_server, tmp_path_factory):
    """The server, and what it has on offer."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").create(request.getfixturevalue("_migrated_postgres"))
    backend = ScriptedBackend(says("Hello"))
    folder = tmp_path_factory.mktemp("shared")
    with run_server(folder, plugin_of(backend), storage=StorageSettings(url=url)) as running:
        yield running, backend
    if url is not None:
        request.getfixturevalue("postgres").drop(url)


@pytest.fixture
def people(shared) -> Iterator[Callable[..., httpx.Client]]:
    """`people("alice", admin=True)` is a client with a session whose password is recent; `account` is whose it is.

    `people.running` is the server, `people.backend` what it offers. Afterwards names are free again, nobody is an
    administrator, and the backend is as it was.
    """
    running, backend = shared
    before = dict(vars(backend))
    made = []
    with ExitStack() as stack:

        def person(name: str, *, admin: bool = False) -> httpx.Client:
            with running.server.database.transaction() as connection:
                account = create_account(connection, name, now=time.time(), admin=admin)
                token = open_session(connection, account.id, now=time.time(), lifetime_s=600, recent_s=600)
            made.append(account)
            headers = {"origin": running.url}
            client = httpx.Client(base_url=running.url, headers=headers, cookies={COOKIE: token}, timeout=30)
            client.account = account
            return stack.enter_context(client)

        person.running, person.backend = running, backend
        yield person
    vars(backend).clear()  # a test may have put methods of its own there
    vars(backend).update(before)
    backend.changed()
    with running.server.database.transaction() as connection:
        for number, account in enumerate(made):
            gone = {"name": f"{time.time_ns()}{number}", "admin_since": None}
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(gone))


@pytest.fixture
def code() -> Callable[[httpx.Response], tuple[int, str | None]]:
    """Status and code of an answer that is an error, in OpenAI's shape."""

    def code(answer: httpx.Response) -> tuple[int, str | None]:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return answer.status_code, error["code"]

    return code
