"""A conversation returns to the node that answered it last, as long as that is there and free."""

import asyncio
import threading
import time

import httpx
import pytest

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.routing.scorers.affinity import Affinity
from lightphon_core.routing.scorers.plugin import BuiltinScorers
from lightphon_core.settings import RoutingSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, says

FIRST = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}]
ELSE = [{"role": "user", "content": "Something else."}]
OTHERS = [scorer.name for scorer in BuiltinScorers(None).register_scorers() if not isinstance(scorer, Affinity)]
ALONE = RoutingSettings(weights=dict.fromkeys(OTHERS, 0.0))
"""Affinity decides, and where it has nothing to say the offer of the lowest key: node `a`."""


def go_on(messages, answer="Hi", then="And now?"):
    return [*messages, {"role": "assistant", "content": answer}, {"role": "user", "content": then}]


class Pair:
    """Two nodes with one model, and who asks them."""

    def __init__(self, start_server, add_key, *, slots=8):
        self.a, self.b = (ScriptedBackend(says("Hi"), name=name, slots=slots) for name in "ab")
        self.running = start_server(plugin_of(self.a, self.b), routing=ALONE)
        self.alice, self.bob = self.running.openai(), self.running.openai(api_key=add_key(self.running, "bob"))

    def online(self, *backends):
        for each in (self.a, self.b):
            each.online = each in backends
            each.changed()

    def node(self, messages, *, client=None, **more):
        """Who answers."""
        client = client or self.alice
        answer = client.chat.completions.create(model="auto", messages=messages, **more)
        last = list(answer)[-1] if more.get("stream") else answer
        return last.routing_info["node_name"].removesuffix("-node")


@pytest.fixture
def pair(start_server, add_key):
    return Pair(start_server, add_key)


@pytest.fixture(scope="session")
def add_key():
    """`add_key(running, name)`: an account of this name, and the secret of its key."""

    def add(running, name):
        with running.server.database.transaction() as connection:
            account = create_account(connection, name, now=time.time())
            return create_credential(connection, account, Kind.API_KEY, now=time.time())[1]

    return add


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_second_turn_goes_where_the_first_went(pair, stream):
    pair.online(pair.b)
    assert pair.node(FIRST, stream=stream) == "b"
    pair.online(pair.a, pair.b)
    second = go_on(FIRST)
    assert pair.node(second, stream=stream) == "b"
    assert pair.node(ELSE) == "a"  # which nobody answered yet
    assert pair.node(go_on(second), stream=stream) == "b"


def test_it_goes_elsewhere_when_that_node_is_gone_and_stays_there(pair):
    pair.online(pair.b)
    assert pair.node(FIRST) == "b"
    pair.online(pair.a)
    assert pair.node(go_on(FIRST)) == "a"
    pair.online(pair.b)
    assert pair.node(ELSE) == "b"
    pair.online(pair.a, pair.b)
    assert (pair.node(go_on(FIRST)), pair.node(go_on(ELSE))) == ("a", "b")


def test_another_account_with_the_same_text_has_no_holder(pair):
    pair.online(pair.b)
    assert pair.node(FIRST) == "b"
    assert pair.node(FIRST, extra_body={"session_id": "s-1"}) == "b"
    pair.online(pair.a, pair.b)
    assert pair.node(FIRST, client=pair.bob) == "a"
    assert pair.node(FIRST, client=pair.bob, extra_body={"session_id": "s-1"}) == "a"
    assert pair.node(ELSE, extra_body={"session_id": "s-1"}) == "b"


def test_the_router_tells_of_ones_own_sessions_alone(pair):
    pair.online(pair.b)
    assert pair.node(FIRST, extra_headers={"x-session-id": "s-1"}) == "b"
    pair.online(pair.a, pair.b)

    def first(client):
        headers = {"authorization": f"Bearer {client.api_key}"}
        url = pair.running.url + "/api/models/route"
        ranked = httpx.post(url, json={"session_id": "s-1"}, headers=headers).json()["candidates"]
        return ranked[0]["node_name"], [each["parts"].get("affinity") for each in ranked]

    assert first(pair.alice) == ("b-node", [1, 0])
    assert first(pair.bob) == ("a-node", [None, None])


def test_a_node_that_failed_the_conversation_does_not_hold_it(pair):
    async def breaks_off(job):
        yield chunk({"content": "Hi"})
        raise RuntimeError

    pair.online(pair.b)
    pair.b.reply = breaks_off
    with pytest.raises(Exception, match="failed"):
        pair.node(FIRST)
    pair.online(pair.a, pair.b)
    assert pair.node(FIRST) == "a"


def test_a_client_that_stops_an_answer_finds_its_prompt_read(pair):
    async def slowly(job):
        yield chunk({"content": "Hi"})
        await asyncio.Event().wait()

    pair.online(pair.b)
    pair.b.reply = slowly
    stream = pair.alice.chat.completions.create(model="auto", messages=FIRST, stream=True)
    next(stream)
    stream.close()
    until(lambda: pair.b.closed)
    pair.b.reply = says("Hi")
    pair.online(pair.a, pair.b)
    assert pair.node(FIRST) == "b"


def test_a_busy_node_is_not_waited_for(start_server, add_key):
    pair = Pair(start_server, add_key, slots=1)
    go = threading.Event()

    async def held(job):
        yield chunk({"content": "Hi"})
        await asyncio.to_thread(go.wait, 20)
        yield chunk(finish="stop")

    pair.online(pair.b)
    assert pair.node(FIRST) == "b"
    pair.b.reply = held
    stream = pair.bob.chat.completions.create(model="auto", messages=ELSE, stream=True)
    next(stream)
    pair.online(pair.a, pair.b)
    assert pair.node(go_on(FIRST)) == "a"
    go.set()
    list(stream)


def until(condition, seconds=10.0):
    """Wait for the server's thread to make `condition` true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)
