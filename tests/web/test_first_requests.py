"""The first requests after a log-in or a restart come many at once, with a secret that the server has not seen yet."""

import asyncio
import time

import httpx
import pytest

from lightphon_core.accounts.lookups import WAITING_LIMIT_PER_ADDRESS
from lightphon_core.accounts.people import get_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says


@pytest.mark.parametrize("kind", ["session", "key"])
async def test_all_of_them_are_answered(start_server, kind):
    running = start_server(plugin_of(ScriptedBackend(says("x"))))
    path, headers = "/v1/models", {"authorization": f"Bearer {running.api_key}"}
    if kind == "session":
        with running.server.database.transaction() as connection:
            account = get_account(connection, "test")
            token = open_session(connection, account.id, now=time.time(), lifetime_s=60, recent_s=60)
        path, headers = "/api/account", {"cookie": f"{COOKIE}={token}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30) as page:
        many = 2 * WAITING_LIMIT_PER_ADDRESS
        answers = await asyncio.gather(*(page.get(path) for _ in range(many)))
    assert [answer.status_code for answer in answers] == [200] * many
