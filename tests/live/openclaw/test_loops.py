"""OpenClaw -> LightPhon -> OpenClaw: the real one is never asked by itself, and would be for ever without the guard."""

import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest
from lightphon_backend_gguf.testing import scripted

pytestmark = pytest.mark.openclaw

SAID = scripted.GREETING.text
WITHIN_S = 60


def busy(house):
    """How many requests OpenClaw has got from LightPhon and not yet answered. Its offers all have the same count."""
    return max(seen.load.busy for seen in house.system.seen() if seen.node == "OpenClaw")


def asking(house, model):
    """A client that asks LightPhon, and reads nothing; closing it hangs up."""
    address = urlsplit(house.system.url)
    client = socket.create_connection((address.hostname, address.port))
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}], "stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: {len(body)}\r\n"
    client.sendall(f"{head}authorization: Bearer {house.system.api_key}\r\n\r\n{body}".encode())
    return closing(client)


def test_for_everybody_else_it_is_the_best(house):
    headers = {"authorization": f"Bearer {house.system.api_key}"}
    ranked = httpx.post(f"{house.system.url}/api/models/route", json={}, headers=headers).json()
    assert ranked["candidates"][0]["node_name"] == "OpenClaw"


@pytest.mark.parametrize("agent", ["answers", "marked"])
def test_it_is_not_asked_by_itself_though_it_is_the_best(house, agent):
    """By the header of the page's provider, and by the key's mark."""
    assert house.openclaw.ask(f"openclaw/{agent}").json()["choices"][0]["message"]["content"] == SAID
    assert {bill.model for bill in house.bills(agent)} == {"helper"}


def test_nor_though_it_is_the_only_one(house, until):
    """The key may be answered by OpenClaw alone. It is refused, and OpenClaw tries again for a minute or so."""

    def refusals():
        assert busy(house) <= 1
        said = house.openclaw.log.read_text().splitlines()
        return [line for line in said if "provider=lost" in line and "status=503" in line]

    with asking(house, "openclaw/lost"):
        until(lambda: len(refusals()) >= 2, WITHIN_S)
    until(lambda: busy(house) == 0, WITHIN_S)
    assert house.bills("lost") == []


def test_without_a_mark_it_asks_itself(house, until):
    """Until all of its slots are taken: what the guard is for. It unwinds when the first client hangs up."""
    with asking(house, "openclaw/bare"):
        until(lambda: busy(house) == house.slots, WITHIN_S)
    until(lambda: busy(house) == 0, WITHIN_S)
    assert house.bills("bare") == []
