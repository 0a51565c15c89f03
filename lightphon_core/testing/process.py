"""`lightphon serve` as an operator runs it: a process with a settings file, which may be killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

PATIENCE_S = 30.0
PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who live as long as a test
ADMINISTRATOR = "operator"


class ServerProcess:
    """A context manager. `settings` is what the settings file says beside the port, the data directory and open
    registration, or a function that makes it of the server's URL; all files lie in `folder`. There is one
    administrator, ADMINISTRATOR.

    `url` stays the same when it is started again.
    """

    def __init__(
        self, folder: Path, settings: str | Callable[[str], str], environ: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.data_dir = folder / "data"
        self.log = folder / "server.log"
        self._config = folder / "lightphon.toml"
        self._environ = {**os.environ, **(environ or {})}
        self._popen: subprocess.Popen[bytes] | None = None
        self._people: list[Person] = []
        said = settings if isinstance(settings, str) else settings(self.url)
        self._config.write_text(
            f'data_dir = "{self.data_dir}"\n{said}\n[accounts]\nregistration = "open"\n', encoding="utf-8"
        )
        self.command("init", "--admin", ADMINISTRATOR, "--password-stdin", stdin=f"{PASSWORD}\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for person in self._people:
            person.close()
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it serves."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603
                [*_LIGHTPHON, "serve", "--config", self._config, "--port", self.url.rpartition(":")[2]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
            )
        until(self._ready, "the server serves")

    @property
    def runs(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: it ends in the middle of whatever it does. Nothing happens where none runs."""
        self._end(signal.SIGKILL)

    def command(self, *arguments: str | Path, stdin: str = "", key: str = "") -> str:
        """What `lightphon ARGUMENTS` prints, with these settings. Commands that ask the server get `key`."""
        config = () if key else ("--config", self._config)
        environ = {**self._environ, "LIGHTPHON_URL": self.url, "LIGHTPHON_API_KEY": key}
        done = subprocess.run(  # noqa: S603
            [*_LIGHTPHON, *arguments, *config], input=stdin, capture_output=True, text=True, env=environ, check=False
        )
        if done.returncode:
            raise RuntimeError(f"lightphon {arguments[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def register(self, name: str) -> Person:
        """Somebody with an account of their own, logged in."""
        return self._person(name, "register")

    def administrator(self) -> Person:
        """The administrator, logged in."""
        return self._person(ADMINISTRATOR, "login")

    def memory_mb(self) -> int:
        """What it has in memory."""
        assert self._popen is not None, "it runs"
        status = Path(f"/proc/{self._popen.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    def cpu_s(self) -> float:
        """Seconds of CPU time that it has taken so far, all its threads together."""
        assert self._popen is not None, "it runs"
        stat = Path(f"/proc/{self._popen.pid}/stat").read_text("ascii")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _person(self, name: str, how: str) -> Person:
        person = Person(name, self.url)
        self._people.append(person)
        person.ask("POST", f"/api/account/{how}", {"name": name, "password": PASSWORD})
        return person

    def _ready(self) -> bool:
        assert self._popen is not None, "it was started"
        if self._popen.poll() is not None:
            raise RuntimeError(f"the server ended: {self.log.read_text('utf-8')[-2_000:]}")
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._popen is not None and self.runs:
            self._popen.send_signal(number)
            self._popen.wait(PATIENCE_S)


class Person:
    """Somebody at a browser: the session's cookie is kept."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._http = httpx.Client(base_url=url, headers={"origin": url}, timeout=PATIENCE_S, trust_env=False)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON of an answer. Raises `RuntimeError` with what the server said where it refused."""
        answer = self._http.request(method, path, json=body)
        if answer.is_error:
            raise RuntimeError(f"{answer.status_code}: {answer.json()['error']['message']}")
        return answer.json()

    def close(self) -> None:
        """Let go of its connections."""
        self._http.close()


def free_port() -> int:
    """A port of the loopback that nothing listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """What `condition` returns, once that is something: for what another process does and nobody tells of."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"this did not happen within {timeout_s:g} s: {what}")
        threading.Event().wait(0.02)
    return found


_LIGHTPHON = (sys.executable, "-m", "lightphon_core")
