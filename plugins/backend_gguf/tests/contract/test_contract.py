"""The core's own suite on the real backend: a `lightphon-node` process with llama.cpp behind a real socket."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lightphon_backend_gguf.hub.backend import NodeBackend
from lightphon_backend_gguf.testing import scripted

from lightphon_core.testing import BackendContract


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(make_hub: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodeBackend]:
    """One node for the whole suite, with two models. The one that is asked never stops by itself."""
    folder = tmp_path_factory.mktemp("models")
    models = [
        scripted.ENDLESS.write(folder / "a.gguf", context=2**16),
        scripted.GREETING.write(folder / "b.gguf"),
    ]
    hub = make_hub()
    await hub.start()
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("lightphon-node"),
        *("run", *models, "--name", "endless", "--name", "greeting"),
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
