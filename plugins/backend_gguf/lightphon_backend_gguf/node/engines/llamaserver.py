"""A user's own llama-server, named by the operator: llama.cpp as built for that machine, run with our arguments."""

import asyncio
import os
import re
import secrets
import socket
from pathlib import Path
from typing import Any

from attrs import frozen

from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.engines.child import Child, ChildFailed
from lightphon_backend_gguf.node.engines.llamacpp import Pooling, dialect_for, is_undivided, load_error, places
from lightphon_backend_gguf.node.models.infill import Infill
from lightphon_backend_gguf.node.models.projector import Projector
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.upstream import Upstream

POLL_S = 0.05
"""How often a server that loads is asked whether it is ready; llama-server has no other way to tell."""

_WORKER = "lightphon_backend_gguf.node.engines.llamaserver_worker"
_CPU_BATCH = 64
_UNKNOWN_TO_OLD = {
    "LLAMA_ARG_CACHE_RAM": "0",
    "LLAMA_ARG_OFFLINE": "true",
    "LLAMA_ARG_CORS_ORIGINS": "null",
    "LLAMA_ARG_UI": "false",
    "LLAMA_ARG_WEBUI": "false",
    "LLAMA_ARG_VIDEO_FFMPEG_DIR": os.devnull,
}
"""By way of the environment, where a llama-server that has not heard of them passes them over."""

_LASTING = re.compile(r"error loading model|^OSError: ", re.MULTILINE)
"""What stands on standard error where the model was refused, or the program cannot be run. A port that was taken may be
free next time. A llama-server that ends at once may lose what it wrote; then a later start finds out."""


@frozen
class LlamaServerSettings:
    """How to run one model; as `LlamaCppSettings`. `binary` is the program; it chooses where `gpu_layers` is None."""

    binary: Path
    path: Path
    alias: str
    slots: int
    context: int
    threads: int
    gpu_layers: int | None = None
    batch: int | None = None
    embedding: bool = False
    pooling: Pooling | None = None
    infill: Infill | None = None
    mmproj: Projector | None = None


class LlamaServer(Engine):
    """Runs the operator's program as a child process and speaks for it."""

    def __init__(self, settings: LlamaServerSettings) -> None:
        self._settings = settings
        self._child = Child(_WORKER)
        self.dialect = dialect_for(settings)

    @property
    def pid(self) -> int | None:
        """The child's process id, once it was started."""
        return self._child.pid

    async def start(self) -> Endpoint:
        settings, key = self._settings, secrets.token_urlsafe(32)
        if not settings.path.is_file():
            raise EngineError(f"{settings.binary} cannot load {settings.path}: there is no such file")
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        spec: dict[str, Any] = {
            "url": url,
            "binary": str(settings.binary.absolute()),
            "arguments": arguments(settings, port),
            "environ": {
                **_UNKNOWN_TO_OLD,
                "LLAMA_ARG_KV_UNIFIED": "true" if is_undivided(settings) else "false",
                "LLAMA_API_KEY": key,
            },
        }
        if settings.mmproj is not None and settings.mmproj.most_tokens is not None:
            spec["environ"]["LLAMA_ARG_IMAGE_MAX_TOKENS"] = str(settings.mmproj.most_tokens)
        endpoint = Endpoint(url=url, key=key, model=settings.alias, dialect=self.dialect)
        try:
            await self._child.launch(spec)
            await self._ready(endpoint)
        except ChildFailed as failed:
            reason = load_error(failed.stderr) or failed.reason
            message = f"{settings.binary} cannot load {settings.path}: {reason}"
            raise EngineError(message, lasting=_LASTING.search(failed.stderr) is not None) from None
        except BaseException:
            await self.stop()
            raise
        return endpoint

    async def _ready(self, endpoint: Endpoint) -> None:
        """Wait until the server has loaded its model. ChildFailed if it ends instead."""
        ended = asyncio.create_task(self._child.exited())
        try:
            async with Upstream() as upstream:
                while await upstream.ask(endpoint.url + "/health") is None:
                    await asyncio.wait({ended}, timeout=POLL_S)
                    if ended.done():
                        raise await self._child.failed()
            # Only a server that was given our key and alias says this, and not another one on the same port.
            async with Upstream() as upstream:
                listed = await upstream.ask(endpoint.url + "/v1/models", endpoint.key)
            if ended.done() or endpoint.model not in str(listed):
                await self.stop()
                raise await self._child.failed()
        finally:
            ended.cancel()

    async def exited(self) -> str:
        return await self._child.exited()

    async def stop(self) -> None:
        await self._child.stop()


def arguments(settings: LlamaServerSettings, port: int) -> list[str]:
    """The command line, without the program: nothing secret, and nothing that anybody but the operator said."""
    given: dict[str, Path | str | int] = {
        "--model": settings.path.absolute(),
        "--alias": settings.alias,
        "--host": "127.0.0.1",
        "--port": port,
        "--parallel": places(settings),
        "--ctx-size": places(settings) * settings.context,
        "--threads": settings.threads,
        "--threads-batch": settings.threads,
    }
    if settings.gpu_layers is not None:
        given["--n-gpu-layers"] = settings.gpu_layers
    batch = settings.batch or (_CPU_BATCH if settings.gpu_layers == 0 else None)
    if (mmproj := settings.mmproj) is not None:
        given["--mmproj"] = mmproj.path.absolute()
        batch = settings.batch or mmproj.batch or batch
    if is_undivided(settings):
        # The text of an embedding is computed in one step, or refused.
        batch = settings.context
    if batch:
        given |= {"--batch-size": batch, "--ubatch-size": batch}
    if settings.pooling:
        given["--pooling"] = settings.pooling
    flags = ["--no-slots", *(["--embeddings"] if settings.embedding else [])]
    return [text for name, value in given.items() for text in (name, str(value))] + flags


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
