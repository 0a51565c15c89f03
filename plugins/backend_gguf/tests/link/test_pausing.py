"""A node that is paused, and one that runs so many jobs and no more; with a real server at the other end."""

import asyncio

import pytest
from lightphon_backend_gguf.node.serving.served import Endpoint, Served
from lightphon_backend_gguf.protocol.messages import ModelFacts, OfferMessage

from lightphon_core import Load, NodeState, Overloaded, Unavailable


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def served(name, slots=2):
    offer = OfferMessage(id=name, model=ModelFacts(id=f"maker/{name}", capabilities=("chat",)), slots=slots)
    return Served(offer, Endpoint(url="http://127.0.0.1:1", key="k", model=name))


def states(hub):
    return [connected.state for connected in hub.backend.nodes()]


async def test_a_pause_withdraws_the_offers_and_lets_jobs_finish(hub, engine, start_link):
    running = start_link(hub.url, served("m"))
    await until(hub.backend.offers)
    job = hub.job(do="wait")
    serving = hub.backend.serve(job)
    assert await anext(serving) == b"first"
    running.link.pause()
    await until(lambda: not hub.backend.offers())
    assert states(hub) == [NodeState.PAUSED]
    with pytest.raises(Unavailable):
        await anext(hub.backend.serve(job))
    engine.gate.set()
    assert [part async for part in serving] == [b"last"]
    running.link.serve([served("m"), served("n")])  # an engine comes up meanwhile
    running.abort()
    await until(lambda: running.names.count("connected") == 2)
    await until(lambda: states(hub) == [NodeState.PAUSED])  # said again on the new connection
    assert not hub.backend.offers()
    running.link.pause(False)
    await until(lambda: len(hub.backend.offers()) == 2)
    assert states(hub) == [NodeState.ONLINE]
    assert "lost" in running.names
    assert running.names[-1] == "connected"


async def test_the_hub_knows_a_node_whose_engines_are_away_and_one_that_drains(hub, engine, start_link):
    running = start_link(hub.url)
    running.link.serve([])  # before it connects: nothing has been started yet
    await until(lambda: running.names[-1:] == ["connected"])
    assert states(hub) == [NodeState.STARTING]
    running.link.serve([served("m")])
    await until(lambda: states(hub) == [NodeState.ONLINE])
    running.link.serve([])
    await until(lambda: states(hub) == [NodeState.STARTING])
    running.link.serve([served("m")])
    await until(hub.backend.offers)
    serving = hub.backend.serve(hub.job(do="wait"))
    await anext(serving)
    running.link.drain()
    await until(lambda: states(hub) == [NodeState.DRAINING])
    engine.gate.set()
    assert [part async for part in serving] == [b"last"]
    await until(lambda: states(hub) == [])


async def test_so_many_jobs_over_all_models(hub, engine, start_link):
    start_link(hub.url, served("a"), served("b"), max_jobs=2)
    await until(lambda: len(hub.backend.offers()) == 2)
    jobs = [hub.backend.serve(hub.job(name, do="wait")) for name in "ab"]
    for job in jobs:
        await anext(job)
    await until(lambda: list(hub.backend.load().values()) == [Load(busy=2), Load(busy=2)])  # all slots, to the router
    with pytest.raises(Overloaded, match="as many jobs as it may"):
        await anext(hub.backend.serve(hub.job("a", do="wait")))
    assert engine.most_open == 2
    await jobs[0].aclose()
    await until(lambda: list(hub.backend.load().values()) == [Load(), Load(busy=1)])
    await hub.answer(hub.job("a", do="count", to=1, tag=""))
    await jobs[1].aclose()
