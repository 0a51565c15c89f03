"""The fixtures that the authors of docs/plugins.md have: an upstream that runs already, and the wallet of Acme."""

import asyncio
import json
import os
import secrets
import time

import pytest


class Acme:
    """A wallet with an HTTP API, in memory. Charges outlast `stop`."""

    def __init__(self):
        self._charges = {}
        self._server = None
        self._connections = set()
        self._port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close()
        for writer in list(self._connections):
            writer.close()
        await self._server.wait_closed()

    def pay(self, ref, amount=None):
        charge = self._charges[ref]
        charge |= {"state": "paid", "received_msat": amount or charge["msat"]}
        return charge["received_msat"]

    def expire(self, ref):
        self._charges[ref]["state"] = "expired"

    async def _serve(self, reader, writer):
        self._connections.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.decode().split(" ", 2)
                headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status, content = self._answer(method, path, json.loads(body or b"{}"), headers["x-key"])
                reply = json.dumps(content).encode()
                writer.write(b"HTTP/1.1 %d .\r\ncontent-length: %d\r\n\r\n%b" % (status, len(reply), reply))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    def _answer(self, method, path, asked, key):
        if key != "the-key-of-the-test":
            return 401, {}
        if method == "GET":
            charge = self._charges.get(path.removeprefix("/charges/"))
            return (404, {}) if charge is None else (200, charge)
        if asked["msat"] > 10**12:
            return 422, {}
        known = [charge for charge in self._charges.values() if charge["id"] == asked["id"]]
        if not known:
            ref = secrets.token_hex(32)
            made = {"hash": ref, "invoice": f"acme:{ref}", "expires_at": time.time() + asked["expires_in"]}
            known = [{**asked, **made, "state": "open"}]
            self._charges[ref] = known[0]
        return 200, known[0]


@pytest.fixture
def upstream_url():
    return os.environ["UPSTREAM_URL"]


@pytest.fixture
async def acme():
    acme = Acme()
    await acme.start()
    yield acme
    await acme.stop()
