"""The two sides of the comparison: an engine's own server, and LightPhon in front of an equal one."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen
from lightphon_backend_gguf.node.engines.base import Engine
from lightphon_backend_gguf.node.engines.ctransformers import CTransformersSettings
from lightphon_backend_gguf.node.engines.kinds import engine_for
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCppSettings
from streaming import BadAnswer, Target, ask

SLOTS = 8
CONTEXT = 1024
THREADS = 1
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0


class SideFailed(Exception):
    """A server did not start. The message says where its log is."""


@frozen
class BenchModel:
    """A model file, the id that both sides give it, and the engine that runs it, as `--engine` names it."""

    id: str
    path: Path
    engine: str = "llama.cpp"

    def alone(self) -> Engine:
        """The engine by itself, with the settings that a node would give it."""
        if self.engine == "ctransformers":
            return engine_for(CTransformersSettings(self.path, self.id, CONTEXT, THREADS))
        return engine_for(LlamaCppSettings(self.path, self.id, SLOTS, CONTEXT, THREADS))


@frozen
class Gateway:
    """A running server and its nodes: their targets by model, and their process ids."""

    targets: dict[str, Target]
    server_pid: int
    node_pids: tuple[int, ...]


@asynccontextmanager
async def direct(models: Sequence[BenchModel]) -> AsyncGenerator[dict[str, Target]]:
    """The engine's HTTP server for each model: the very engine, with the very settings, that a node would run."""
    async with AsyncExitStack() as stack:
        targets = {}
        for model in models:
            engine = model.alone()
            stack.push_async_callback(engine.stop)
            endpoint = await engine.start()
            url = urlsplit(endpoint.url)
            assert url.hostname is not None
            assert url.port is not None
            targets[endpoint.model] = Target(url.hostname, url.port, endpoint.key, endpoint.model)
        yield targets


@asynccontextmanager
async def gateway(
    models: Sequence[BenchModel],
    folder: Path,
    *,
    nodes: Sequence[str] = ("bench",),
    slots: int = SLOTS,
    context: int = CONTEXT,
) -> AsyncGenerator[Gateway]:
    """`lightphon serve` and a `lightphon-node run` for each name, as an operator would start them; data and logs are in
    `folder`. Every node has every model."""
    lightphon = [sys.executable, "-m", "lightphon_core"]
    port = _free_port()
    await _output(*lightphon, "account", "create", "bench", "--data-dir", str(folder))
    key, token = [await _secret(*lightphon, kind, folder=folder) for kind in ("key", "node-token")]
    async with AsyncExitStack() as stack:
        serve = [*lightphon, "serve", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder)]
        server = await stack.enter_async_context(_process(serve, folder / "server.log", {}))
        node_run = [sys.executable, "-m", "lightphon_backend_gguf.node", "run"]
        for model in models:
            node_run += [str(model.path), "--name", model.id]
        node_run += ["--server", f"http://127.0.0.1:{port}", "--drain-timeout", "0"]
        if models[0].engine != "llama.cpp":
            node_run += ["--engine", models[0].engine]
        node_run += ["--slots", str(slots), "--context", str(context), "--threads", str(THREADS)]
        started = [server]
        for name in nodes:
            environ = {"LIGHTPHON_NODE_TOKEN": token, "LIGHTPHON_NODE_STATE_DIR": str(folder / name)}
            command = [*node_run, "--node-name", name]
            started.append(await stack.enter_async_context(_process(command, folder / f"{name}.log", environ)))
        targets = {model.id: Target("127.0.0.1", port, key, model.id) for model in models}
        for target in targets.values():
            await _until_served(target, started, folder, len(nodes))
        yield Gateway(targets, server.pid, tuple(node.pid for node in started[1:]))


async def _until_served(
    target: Target, processes: Sequence[asyncio.subprocess.Process], folder: Path, nodes: int
) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while all(process.returncode is None for process in processes):
                try:
                    await ask(target, "Hello!", 1)
                    if await asyncio.to_thread(_nodes_online, target) == nodes:
                        return
                except (BadAnswer, OSError):
                    pass
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass
    raise SideFailed(f"{target.model} is not served through LightPhon. See the logs in {folder}.")


def _nodes_online(target: Target) -> int:
    """As the server says."""
    connection = HTTPConnection(target.host, target.port, timeout=START_TIMEOUT_S)
    try:
        connection.request("GET", "/api/status")
        return int(json.loads(connection.getresponse().read())["nodes_online"])
    finally:
        connection.close()


@asynccontextmanager
async def _process(
    command: Sequence[str], log: Path, environ: dict[str, str]
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process apart from the terminal's Ctrl-C, which always ends with the block."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environ},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, then SIGKILL where that is not enough, or where nobody waits any more."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except asyncio.CancelledError:
        process.kill()
        raise


async def _secret(*command: str, folder: Path) -> str:
    printed = await _output(*command, "create", "--account", "bench", "--json", "--data-dir", str(folder))
    return str(json.loads(printed)["secret"])


async def _output(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        printed, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise SideFailed(f"`{' '.join(command[2:5])}` ended with status {process.returncode}.")
    return printed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
