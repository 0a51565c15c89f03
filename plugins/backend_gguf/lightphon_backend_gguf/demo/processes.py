"""The demo's two processes: started apart from the terminal's Ctrl-C, watched, and always ended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

STOP_S = 2.2
"""How long a process may take to stop before it is killed: two of them are gone within five seconds, hung or not."""


class ProcessEnded(Exception):
    """A process of the demo ended by itself. The message says which, and what it said last."""


class Process:
    """An `lightphon` or `lightphon-node` process, which writes to a log file of its own."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, name: str, command: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> Self:
        """Start `command` in a session of its own: the demo alone hears Ctrl-C, and stops its processes in order."""
        with _private(log) as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environ},
                start_new_session=True,
            )
        return cls(name, process, log)

    async def ended(self) -> None:
        """Wait for the process to end, which it should not do by itself: raises `ProcessEnded`."""
        status = await self._process.wait()
        last = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        said = f" It said: {last[-1]}" if last else ""
        raise ProcessEnded(f"The {self._name} ended with status {status}.{said} The whole log is {self._log}.")

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL for the whole session where that is not enough."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
