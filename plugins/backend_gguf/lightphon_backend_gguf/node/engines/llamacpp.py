"""The llama.cpp engine: one child process for each model, so that a crash or a stall costs only that model."""

import asyncio
import json
import re
import secrets
import signal
import sys
from pathlib import Path

from attrs import asdict, frozen

from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.served import Endpoint

STOP_GRACE_S = 2.0
"""How long a child may take to end by itself before it is killed."""

_WORKER = "lightphon_backend_gguf.node.engines.llamacpp_worker"
_STDERR_TAIL = 8192
_MAX_READY_LINE = 4096
_TELLING = (
    r"gguf_init\w*: (.+)",
    r"error loading model[^:\n]*: (.+)",
    r"llama_init\w*: (failed .+)",
    r"^[\d.]+ E [^:\n]*: (.+)",
    r"^(\w+Error: .+)",
)
"""Where llama.cpp says why it cannot load a model, the most telling first."""


@frozen
class LlamaCppSettings:
    """How to run one model.

    `alias` is the model name that the server answers to. `slots` requests run at once, each with `context` tokens for
    prompt and answer together. `threads` compute. `gpu_layers` go to a GPU, where llama.cpp was built for one; -1 is as
    many as fit. `batch` is how many prompt tokens are computed in one step, between which nothing can be cancelled;
    None chooses by the device. `embedding` serves vectors instead of text.
    """

    path: Path
    alias: str
    slots: int
    context: int
    threads: int
    gpu_layers: int = -1
    batch: int | None = None
    embedding: bool = False


class LlamaCpp(Engine):
    """Runs `llamacpp_worker` and speaks for it."""

    def __init__(self, settings: LlamaCppSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, once it was started."""
        return self._process.pid if self._process else None

    async def start(self) -> Endpoint:
        if self._process is not None:
            raise RuntimeError("an engine starts once")
        key = secrets.token_urlsafe(32)
        try:
            url = await self._launch(key)
        except BaseException:
            await self.stop()
            raise
        return Endpoint(url=url, key=key, model=self._settings.alias)

    async def _launch(self, key: str) -> str:
        """Start the child, and return its address when the model is loaded."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _WORKER,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MAX_READY_LINE,
            # A terminal's Ctrl-C is for the parent alone, which then stops its children in order.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._stderr = asyncio.create_task(_tail(process.stderr))
        # By way of standard input, since the command line of a process is for everybody to read.
        spec = {**asdict(self._settings), "path": str(self._settings.path), "key": key}
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        try:
            await process.stdin.drain()
            line = await process.stdout.readline()
            ready = json.loads(line)
        except (ValueError, OSError):
            ready = {}
            process.stdin.close()
        if "url" in ready:
            return str(ready["url"])
        await process.wait()  # it ends by itself, and is not hurried: its last lines say why
        reason = _load_error((await self._stderr).decode(errors="replace")) or ready.get("error") or self._status()
        raise EngineError(f"llama.cpp cannot load {self._settings.path}: {reason}", lasting="error" in ready)

    async def exited(self) -> str:
        if self._process is None:
            raise RuntimeError("the engine was not started")
        await self._process.wait()
        return self._status()

    def _status(self) -> str:
        """How the child ended. Its standard error is not quoted: it may hold parts of requests."""
        assert self._process is not None
        status = self._process.returncode
        if status is None or status >= 0:
            return f"the engine's process ended with status {status}"
        try:
            return f"the engine's process was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"the engine's process was ended by signal {-status}"

    async def stop(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            self._kill()
            await self._process.wait()
        except asyncio.CancelledError:
            self._kill()
            raise
        if self._stderr is not None:
            await self._stderr

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, so that the child never waits for us, and keep only the last part."""
    kept = b""
    while part := await stream.read(_STDERR_TAIL):
        kept = (kept + part)[-_STDERR_TAIL:]
    return kept


def _load_error(stderr: str) -> str | None:
    """The most telling line of what llama.cpp wrote while it failed to load a model; None if there is none."""
    for pattern in _TELLING:
        if found := re.search(pattern, stderr, re.MULTILINE):
            return found[1].strip()[:300]
    return None
