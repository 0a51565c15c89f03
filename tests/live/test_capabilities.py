"""What an engine cannot do it says, and no request for it is sent there, or paid for."""

import asyncio

import openai
import pytest
import structlog
from lightphon_backend_gguf.node.dialect import OPENAI, Dialect, Feature
from lightphon_backend_gguf.node.link.link import Link
from lightphon_backend_gguf.node.serving.served import Endpoint, Served
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.protocol.account import PriceMessage
from lightphon_backend_gguf.protocol.messages import ModelFacts, OfferMessage
from lightphon_backend_gguf.testing import scripted
from sqlalchemy import func, select

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.schema import entries, holds


@pytest.fixture
def paying(start_system):
    """A system whose account has money to spend."""
    system = start_system()
    with system.running.server.database.transaction() as connection:
        account = get_account(connection, "test")
        carry_out(connection, [adjustment.credit(account.id, 100_000, "to spend")])
    return system


def charges(system):
    """How many answers were charged, and how many holds are left."""
    with system.running.server.database.transaction() as connection:
        charged = select(func.count()).select_from(entries).where(entries.c.kind == "charge")
        held = select(func.count()).select_from(holds)
        return connection.execute(charged).scalar_one(), connection.execute(held).scalar_one()


def refused(system, **body):
    with pytest.raises(openai.BadRequestError) as caught:
        system.ask("greeting", **body)
    return caught.value


def test_a_request_goes_only_to_the_node_that_can(paying):
    system = paying
    system.start_node("greeting", name="old", engine="ctransformers", price="request=1")
    for body, words in (
        ({"logprobs": True}, "log probabilities"),
        ({"n": 2}, "more than one choice"),
        ({"extra_body": {"grammar": 'root ::= "x"'}}, "JSON output"),
    ):
        assert f"cannot do {words}" in refused(system, **body).message
    assert charges(system) == (0, 0)
    assert system.ask("greeting").routing_info["node_name"] == "old"
    assert charges(system) == (1, 0)

    system.start_node("greeting", name="new", slots=2, price="request=2")
    for _ in range(4):
        answer = system.ask("greeting", logprobs=True)
        assert answer.routing_info["node_name"] == "new"
        told = answer.choices[0].logprobs.content
        assert "".join(each.token for each in told).startswith(scripted.GREETING.text)
        answer = system.ask("greeting", n=2)
        assert (answer.routing_info["node_name"], len(answer.choices)) == ("new", 2)
    # A choice takes a slot: what the engine would refuse does not reach it.
    error = refused(system, n=3)
    assert (error.body["param"], "must be at most 2" in error.message) == ("n", True)
    assert charges(system) == (9, 0)


async def test_what_a_node_refuses_is_a_400_that_names_the_parameter(paying, until):
    """Nodes that promise what their engines lack: the one that is asked ends the request, and nobody is paid."""
    system, asked = paying, []
    able = ("chat", "choices", "json", "logprobs", "tools")
    model = ModelFacts("greeting", capabilities=able, context_length=4096)
    offer = OfferMessage("m", model, 8, PriceMessage(per_request=1_000))
    nowhere = Endpoint("http://127.0.0.1:9", "k", "m", Dialect(frozenset({Feature.CHAT}), OPENAI))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    async with Upstream() as upstream:

        def post(endpoint, path, body, *, timeout_s):
            asked.append(path)
            return upstream.post(endpoint, path, body, timeout_s=timeout_s)

        address = system.url.replace("http", "ws") + "/api/node-link"
        links = [
            Link(
                address,
                system.running.node_token,
                name,
                software="test/1",
                post=post,
                report=lambda _: None,
                log=structlog.get_logger(),
            )
            for name in ("one", "two")
        ]
        for link in links:
            link.serve([Served(offer, nowhere)])
        running = [asyncio.create_task(link.run()) for link in links]
        try:
            await asyncio.to_thread(until, lambda: len(system.seen()) == len(links))
            for param, body in (
                ("logprobs", {"logprobs": True}),
                ("n", {"n": 2}),
                ("tools", {"tools": [tool]}),
                ("response_format", {"response_format": {"type": "json_object"}}),
            ):
                asked.clear()
                error = await asyncio.to_thread(refused, system, **body)
                assert (error.body["param"], error.body["code"]) == (param, "unsupported_parameter")
                assert len(asked) == 1, "no other node is tried"
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    until(lambda: charges(system) == (0, 0))  # the client need not wait until its hold is given back
