"""Programs that run beside a test, and how bitcoind and Electrum are asked: JSON-RPC over HTTP."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from lightphon_core.testing.process import until

STARTS_WITHIN_S = 60.0
USER, PASSWORD = "someone", "something"
"""Of every program here."""


class RefusedRpcError(RuntimeError):
    """A program answered that it cannot do what it was asked to."""


class Rpc:
    """A program that speaks JSON-RPC over HTTP, as bitcoind and Electrum do."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.user, self.password = USER, PASSWORD
        self._http = httpx.Client(auth=(USER, PASSWORD), timeout=timeout_s, trust_env=False)

    def call(self, method: str, **params: Any) -> Any:
        answer = self._http.post(self.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        if answer.get("error"):
            raise RefusedRpcError(answer["error"]["message"])
        return answer["result"]

    def close(self) -> None:
        self._http.close()


class Programs:
    """What runs, each with a log of its own, until `close`."""

    def __init__(self, kit: Path, folder: Path) -> None:
        self.kit = kit
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: list[str | Path], **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            popen = subprocess.Popen(  # noqa: S603 - of the kit
                command, stdout=log, stderr=log, env={**os.environ, **environ}
            )
        self._running.append(popen)
        return popen

    def close(self) -> None:
        for popen in reversed(self._running):
            popen.terminate()
        for popen in self._running:
            try:
                popen.wait(20)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()

    def memory_mb(self) -> int:
        """What those that run have in memory together."""
        found = 0
        for popen in self._running:
            if popen.poll() is None:
                status = Path(f"/proc/{popen.pid}/status").read_text()
                found += int(status.partition("VmRSS:")[2].split()[0])
        return found // 1024


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """As `until`; that a program which is starting, or busy, cannot be asked is waited out too."""

    def tried() -> Any:
        try:
            return condition()
        except (httpx.HTTPError, OSError, RefusedRpcError):
            return None

    return until(tried, what, STARTS_WITHIN_S)
