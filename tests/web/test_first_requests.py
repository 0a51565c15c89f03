"""The first requests after a log-in or a restart come many at once, with a secret that the server has not seen yet."""

import asyncio
import time

import httpx
import pytest

from lightphon_core.accounts.lookups import WAITING_LIMIT_PER_ADDRESS
from lightphon_core.accounts.people import get_account
from lightphon_core.accounts.secrets import Kind, new_secret
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.settings import ServerSettings
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


async def test_bad_keys_from_everywhere_keep_no_new_one_out(start_server):
    running = start_server(plugin_of(ScriptedBackend(says("x"))), server=ServerSettings(trusted_proxies=("127.0.0.1",)))
    many = 3 * WAITING_LIMIT_PER_ADDRESS
    async with httpx.AsyncClient(base_url=running.url, limits=httpx.Limits(max_connections=None), timeout=30) as proxy:

        async def ask(key, client):
            headers = {"authorization": f"Bearer {key}", "x-forwarded-for": client}
            return (await proxy.get("/v1/models", headers=headers)).status_code

        trying = [ask(new_secret(Kind.API_KEY), f"192.0.2.{number}") for number in range(many)]
        *bad, good = await asyncio.gather(*trying, ask(running.api_key, "198.51.100.1"))
    assert (bad, good) == ([401] * many, 200)
