"""OpenClaw -> LightPhon -> OpenClaw: the real one is never asked by itself, and would be for ever without the guard."""

import threading

import httpx
import openai
import pytest
from lightphon_backend_gguf.testing import scripted

pytestmark = pytest.mark.openclaw

SAID = scripted.GREETING.text
WITHIN_S = 60


def busy(house):
    """How many requests OpenClaw has got from LightPhon and not yet answered."""
    return sum(seen.load.busy for seen in house.system.seen() if seen.node == "OpenClaw")


@pytest.fixture
def ask_in_background(house):
    """`ask_in_background(model)` asks LightPhon, as a client that waits; it hangs up when the test ends."""
    clients, threads = [], []

    def ask(model):
        client = house.system.openai(timeout=WITHIN_S)
        errors = []

        def run():
            try:
                house.system.ask(model, client=client)
            except openai.APIError as error:
                errors.append(error)

        clients.append(client)
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return threads[-1], errors

    yield ask
    for client in clients:
        client.close()
    for thread in threads:
        thread.join()


def test_for_everybody_else_it_is_the_best(house):
    headers = {"authorization": f"Bearer {house.system.api_key}"}
    ranked = httpx.post(f"{house.system.url}/api/models/route", json={}, headers=headers).json()
    assert ranked["candidates"][0]["node_name"] == "OpenClaw"


@pytest.mark.parametrize("agent", ["answers", "marked"])
def test_it_is_not_asked_by_itself_though_it_is_the_best(house, agent):
    """By the header of the page's provider, and by the key's mark."""
    assert house.openclaw.ask(f"openclaw/{agent}").json()["choices"][0]["message"]["content"] == SAID
    assert {bill.model for bill in house.bills(agent)} == {"helper"}


def test_nor_though_it_is_the_only_one(house, ask_in_background):
    """The key may be answered by OpenClaw alone: it gets an error, and the client too."""
    asking, errors = ask_in_background("openclaw/lost")
    most = 0
    while asking.is_alive():
        most = max(most, busy(house))
        asking.join(0.01)
    assert most == 1
    assert len(errors) == 1
    assert house.bills("lost") == []


def test_without_a_mark_it_asks_itself(house, ask_in_background, until):
    """Until all of its slots are taken: what the guard is for."""
    ask_in_background("openclaw/bare")
    assert until(lambda: busy(house) >= house.slots, WITHIN_S)
