"""What was asked stays in memory neither while the answer lasts nor once it is over, however it ended. Nothing waits
for the garbage collector, which may not come in an hour."""

import asyncio
import gc
import json
import socket
import threading
import tracemalloc

import httpx
import pytest

from lightphon_core.errors import Refused, Unavailable
from lightphon_core.settings import PricingSettings
from lightphon_core.settings.sections import PriceSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.process import until
from lightphon_core.testing.scripted import chunk
from lightphon_core.types import Capability, Model

PATIENCE_S = 20
SIZE = 3_000_000


class Ordinary(ScriptedBackend):
    """Has its job in hand while it serves it, and then no more."""

    began = threading.Event()

    async def serve(self, job):
        self.began.set()
        async for part in self.reply(job):
            yield part


def fails(error):
    async def reply(job):
        try:
            raise ConnectionError(len(job.body))
        except ConnectionError:
            raise error from None
        yield b""

    return reply


async def silent(_):
    await asyncio.Event().wait()
    yield b""


async def endless(_):
    yield chunk({"content": "begun"})
    await asyncio.Event().wait()


async def answers(_):
    yield chunk({"content": "x"})
    yield chunk(finish="stop")


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    # A model for each end, since one that failed is given a rest.
    able = frozenset({Capability.CHAT})
    models = [Model(name, capabilities=able, context_length=10_000_000) for name in (*ENDS, "free")]
    backend = Ordinary(answers, models=models, slots=1)
    with run_server(
        tmp_path_factory.mktemp("memory"),
        plugin_of(backend),
        limits={"first_output_timeout_s": 0.2, "queue_s": 0.2},
        pricing=PricingSettings(models={"not paid": PriceSettings(per_minute=1_000)}),
    ) as running:
        yield running, backend


@pytest.fixture
def memory():
    """`memory()`: bytes that were taken since the test began and are still held."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    gc.enable()


def asked(model="free", *, stream=True, **fields):
    messages = [{"role": "user", "content": "x" * SIZE}]
    return json.dumps({"model": model, "stream": stream, "messages": messages, **fields}).encode()


def send(running, body):
    headers = {"authorization": f"Bearer {running.api_key}"}
    return httpx.stream("POST", f"{running.url}/v1/chat/completions", content=body, headers=headers, timeout=PATIENCE_S)


ENDS = {
    "streamed": (answers, {}, "[DONE]"),
    "whole": (answers, {"stream": False}, '"finish_reason":"stop"'),
    "refused by the node": (fails(Refused("No.")), {}, "No."),
    "failed": (fails(Unavailable("Gone.")), {}, "no_nodes_available"),
    "failed by a plugin's fault": (fails(ValueError("oh")), {"stream": False}, "no_nodes_available"),
    "too slow": (silent, {"stream": False}, "inference_timeout"),
    "not paid": (answers, {}, "insufficient_balance"),
    "not known": (answers, {"model": "unknown"}, "model_not_found"),
    "not read": (answers, {"n": "x"}, "Invalid value for 'n'"),
}
BODIES = {end: asked(**{"model": end, **fields}) for end, (_, fields, _) in ENDS.items()}
"""Made before anything is measured."""


@pytest.mark.parametrize("end", ENDS)
def test_once_it_is_over(running, memory, end):
    running, backend = running
    backend.reply, _, says = ENDS[end]
    for _ in range(2):
        with send(running, BODIES[end]) as answer:
            assert says in answer.read().decode()
        del answer
    until(lambda: memory() < SIZE // 2, "nothing of it is in memory", 5)


LEFT = {stream: asked(stream=stream) for stream in (True, False)}


@pytest.mark.parametrize("reply", [silent, endless])
@pytest.mark.parametrize("stream", [True, False])
def test_once_the_client_has_hung_up(running, memory, reply, stream):
    running, backend = running
    backend.reply = reply
    backend.began.clear()
    body = LEFT[stream]
    url = httpx.URL(running.url)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {running.api_key}\r\n"
    with socket.create_connection((url.host, url.port), timeout=PATIENCE_S) as client:
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        assert backend.began.wait(PATIENCE_S)
        if stream and reply is endless:
            assert client.recv(4096)
            until(lambda: memory() < SIZE * 1.5, "the backend alone holds it", 5)
    until(lambda: memory() < SIZE // 2, "nothing of it is in memory", 5)
