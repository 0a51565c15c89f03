"""The core's own suite on the real backend: a `lightphon-node` process with llama.cpp behind a real socket. And the
jobs that are no chat."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lightphon_backend_gguf.hub.backend import NodeBackend
from lightphon_backend_gguf.testing import scripted
from lightphon_backend_gguf.testing.engine_rig import choices_of, vectors_of

from lightphon_core import Capability, Job, Refused
from lightphon_core.testing import BackendContract


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(make_hub: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodeBackend]:
    """One node for the whole suite, with several models. The one that is asked to chat never stops by itself."""
    folder = tmp_path_factory.mktemp("models")
    models = [
        scripted.ENDLESS.write(folder / "a.gguf", context=2**16),
        scripted.GREETING.write(folder / "b.gguf"),
        scripted.INFILL.write(folder / "c.gguf"),
        scripted.build(folder / "d.gguf", ["a word"], embedding=True, context=512),
    ]
    names = [word for name in ("endless", "greeting", "filling", "vectors") for word in ("--name", name)]
    hub = make_hub()
    await hub.start()
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("lightphon-node"),
        *("run", *models, *names),
        *("--server", f"http://127.0.0.1:{hub.port}", "--threads", "1", "--slots", "3"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "LIGHTPHON_NODE_TOKEN": "one"},
    )
    try:
        async with asyncio.timeout(30):
            while len(hub.backend.offers()) < len(models):
                assert process.returncode is None, "the node ended"
                await asyncio.sleep(0.01)
        yield hub.backend
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await hub.stop()
    assert process.returncode == 0


@pytest.mark.asyncio(loop_scope="module")
class TestNodeBackend(BackendContract):
    """With the fixture `backend` above: starting a node for each promise would take ten times as long."""


async def answer_to(backend: NodeBackend, model: str, path: str, **body: Any) -> bytes:
    """What a job gives, sent as the core sends it."""
    (offer,) = [offer for offer in backend.offers() if offer.model.id == model]
    job = Job("job", offer.id, path, json.dumps({"model": model, **body}).encode(), 16, 30)
    return b"".join([part async for part in backend.serve(job)])


async def completed(backend: NodeBackend, model: str, **body: Any) -> list[Any]:
    """The events of a plain completion."""
    body = {"stream": True, "stream_options": {"include_usage": True}, "temperature": 0, "max_tokens": 16, **body}
    events = (await answer_to(backend, model, "/v1/completions", **body)).decode().split("\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in events if "{" in event]


@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_models_can_do(backend: NodeBackend) -> None:
    can = {offer.model.id: offer.model.capabilities for offer in backend.offers()}
    assert can["vectors"] == {Capability.EMBEDDING}
    assert {Capability.INFILL, Capability.COMPLETION} < can["filling"]
    assert not {Capability.INFILL, Capability.EMBEDDING} & can["greeting"]


@pytest.mark.asyncio(loop_scope="module")
async def test_prompts_and_suffixes(backend: NodeBackend) -> None:
    several = await completed(backend, "greeting", prompt=["Hi", "Hello", "Good day"])
    assert choices_of(several) == [(scripted.GREETING.text, "stop")] * 3
    assert several[-1]["usage"]["completion_tokens"] == 3 * (len(scripted.GREETING.pieces) + 1)
    assert choices_of(await completed(backend, "filling", prompt="a", suffix="b")) == [(scripted.INFILL.text, "stop")]
    assert choices_of(await completed(backend, "filling", prompt="ab")) == [("", "stop")]
    with pytest.raises(Refused) as caught:
        await completed(backend, "greeting", prompt="a", suffix="b")
    assert (caught.value.param, caught.value.code) == ("suffix", "unsupported_parameter")


@pytest.mark.asyncio(loop_scope="module")
async def test_as_many_vectors_as_openai_gives_at_once(backend: NodeBackend) -> None:
    """More bytes than may wait unread for one answer: they are read as they come."""
    texts = [f"{number}" for number in range(2048)]
    body = {"input": texts, "encoding_format": "base64"}
    answer = await answer_to(backend, "vectors", "/v1/embeddings", **body)
    assert len(answer) > 4 * 2**20
    vectors = vectors_of(json.loads(answer))
    assert len(vectors) == len(texts)
    again = vectors_of(json.loads(await answer_to(backend, "vectors", "/v1/embeddings", input=["7", "2047"])))
    assert again == [vectors[7], vectors[2047]]
    with pytest.raises(Refused) as caught:
        await answer_to(backend, "vectors", "/v1/embeddings", input=["a " * 600])
    assert (caught.value.param, caught.value.code) == ("input", "context_length_exceeded")
