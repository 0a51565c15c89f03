"""A node's link ends at once when this server is told that its token, or its account, is good for nothing any more."""

import asyncio
import time

import httpx
import pytest
from lightphon_backend_gguf.testing.simulated import SimulatedNode, Simulation

from lightphon_core.accounts.credentials import create_credential, list_credentials
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.plugins import installed
from lightphon_core.settings import PluginsSettings

BAD_TOKEN = 4401


@pytest.fixture
def running(start_server):
    # Looked at once an hour: whatever happens sooner was told.
    return start_server(*installed(), plugins=PluginsSettings(tables={"gguf": {"recheck_s": 3600}}))


@pytest.fixture
def person(running):
    """`person(name, admin)`: an HTTP client with a session, a node token of that account, and its id."""

    def make(name, *, admin=False):
        with running.server.database.transaction() as connection:
            account = create_account(connection, name, now=time.time(), admin=admin)
            cookie = open_session(connection, account.id, now=time.time(), lifetime_s=600, recent_s=600)
            _, token = create_credential(connection, account, Kind.NODE_TOKEN, now=time.time())
            (credential,) = list_credentials(connection, account_id=account.id, kind=Kind.NODE_TOKEN)
        client = httpx.AsyncClient(base_url=running.url, headers={"origin": running.url}, cookies={COOKIE: cookie})
        return client, token, account.id, credential.id

    return make


@pytest.mark.parametrize("how", ["revoked", "blocked", "deleted"])
async def test_a_link_ends_at_once(running, person, how):
    address = running.url.replace("http://", "ws://") + "/api/node-link"
    mallory, token, account, credential = person("mallory")
    root, other_token, _, _ = person("root", admin=True)
    welcomed = asyncio.Semaphore(0)
    async with mallory, root:
        nodes = [
            asyncio.create_task(SimulatedNode(address, each, "box", Simulation(), welcomed.release).run())
            for each in (token, other_token)
        ]
        async with asyncio.timeout(10):
            await welcomed.acquire()
            await welcomed.acquire()
            match how:
                case "revoked":
                    answer = await mallory.delete(f"/api/node-tokens/{credential}")
                case "blocked":
                    answer = await root.post(f"/api/admin/accounts/{account}/block")
                case "deleted":
                    answer = await mallory.delete("/api/account")
            assert answer.status_code == 200, answer.text
            assert await nodes[0] == BAD_TOKEN
        assert not nodes[1].done(), "another account's node is none of its business"
        nodes[1].cancel()
        await asyncio.gather(nodes[1], return_exceptions=True)
