"""A child process that is an engine: started with a specification on standard input, ended with its parent."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

STOP_GRACE_S = 2.0
"""How long a child may take to end by itself before it is killed."""

_STDERR_TAIL = 8192
_MAX_READY_LINE = 4096


class ChildFailed(Exception):
    """The child ended before it was ready. `reason` is its own; `stderr` is the end of what it complained of; `said`
    is whether it gave a reason itself."""

    def __init__(self, reason: str, stderr: str, *, said: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stderr = stderr
        self.said = said


class Child:
    """One run of a worker module: `python -m MODULE`.

    The worker reads one line of JSON from standard input, then ends when that closes. It may write one line of JSON
    to standard output when it is ready: {"url": ...} or {"error": ...}.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, once it was started."""
        return self._process.pid if self._process else None

    async def launch(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Start it, and return its ready line. ChildFailed if it ends without one that has a url."""
        if self._process is not None:
            raise RuntimeError("an engine starts once")
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
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
        process.stdin.write(json.dumps(spec).encode() + b"\n")
        try:
            await process.stdin.drain()
            ready = json.loads(await process.stdout.readline())
        except (ValueError, OSError):
            ready = {}
            process.stdin.close()
        if "url" in ready:
            return dict(ready)
        raise await self.failed(ready.get("error"))

    async def failed(self, reason: str | None = None) -> ChildFailed:
        """What to raise for a child that ends by itself. It is not hurried: its last lines say why."""
        assert self._process is not None
        assert self._stderr is not None
        await self._process.wait()
        return ChildFailed(
            reason or self._status(), (await self._stderr).decode(errors="replace"), said=reason is not None
        )

    async def exited(self) -> str:
        """Wait for the end; how it came, as part of a sentence."""
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
        """End it, within some seconds. Harmless at any time, and twice."""
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
