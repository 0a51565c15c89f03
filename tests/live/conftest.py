"""The whole system with real parts: a server, `lightphon-node` processes, and llama.cpp with scripted models."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen
from lightphon_backend_gguf.testing import scripted
from openai import OpenAI

from lightphon_core.plugins import installed
from lightphon_core.settings import PluginsSettings
from lightphon_core.types import Load

ENDLESS_CONTEXT = 2**17
DEADLINE_S = 30.0
SCRIPTS = ("endless", "greeting", "json_answer", "reasoning", "tool_call")
LIMITS = {"max_output_tokens": 100_000, "max_unread_bytes": 2**30}
"""Wide, so that a long answer ends for the reason that a test gives it, and for no other."""


def until(condition: Callable[[], Any], timeout_s: float = DEADLINE_S) -> Any:
    """Wait for other threads and processes to make `condition` true, and return what it returned."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s:g} s"
        threading.Event().wait(0.005)
    return found


class Process:
    """Another process, by a descriptor that outlives it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self._fd, number)

    def ends_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def cpu_s(self) -> float:
        """Processor time it has used, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Make sure that it has ended."""
        if not self.ends_within(0):
            self.send(signal.SIGKILL)
        os.close(self._fd)


@define
class Node:
    """A running `lightphon-node`. `engines` are its children, in the order of the models."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    engines: list[Process] = field(factory=list)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def terminate(self) -> None:
        self.popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.popen.kill()

    def end(self) -> int:
        """Its exit status, once it has ended."""
        return self.popen.wait(DEADLINE_S)

    def find_engines(self) -> None:
        pid = self.popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.engines = [Process(int(child)) for child in children]

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        for engine in self.engines:
            engine.close()


@frozen
class Seen:
    """One offer as the server's catalogue has it."""

    node: str
    model: str
    load: Load


@define(slots=False)
class System:
    """A live server and the nodes that dialled in."""

    running: Any
    models: Path
    folder: Path
    nodes: list[Node] = field(factory=list)
    _clients: list[OpenAI] = field(factory=list)

    @cached_property
    def _client(self) -> OpenAI:
        return self.openai()

    @property
    def url(self) -> str:
        return str(self.running.url)

    @property
    def api_key(self) -> str:
        return str(self.running.api_key)

    def openai(self, **options: Any) -> OpenAI:
        """The official client, without retries unless told; closed with the system."""
        self._clients.append(self.running.openai(**options))
        return self._clients[-1]

    def ask(self, model: str = "auto", text: str = "Hi", client: OpenAI | None = None, **body: Any) -> Any:
        """A chat completion through the official SDK, decoded greedily."""
        messages: Any = body.pop("messages", [{"role": "user", "content": text}])
        client = client or self._client
        return client.chat.completions.create(model=model, messages=messages, temperature=0, **body)

    def seen(self) -> list[Seen]:
        """What is on offer now."""

        async def look() -> list[Seen]:
            entries = self.running.server.gateway.catalogue.entries()
            return [Seen(entry.offer.node.name, entry.offer.model.id, entry.load()) for entry in entries]

        found: list[Seen] = self.running.server.call(look())
        return found

    def busy(self) -> list[Seen]:
        return [seen for seen in self.seen() if seen.load.busy]

    def on_offer(self, *names: str) -> bool:
        """Whether exactly these are on offer, each as "NODE:MODEL"."""
        return sorted(f"{seen.node}:{seen.model}" for seen in self.seen()) == sorted(names)

    def start_node(
        self, *models: str | Path | tuple[str, str], name: str = "box", slots: int = 2, **options: Any
    ) -> Node:
        """Run a node with these models until the system ends; returns when all of them are on offer.

        A model is a script's name, under which it is served then, or a path, or a script's name and the id to serve it
        under. `options` are those of `lightphon-node`.
        """
        arguments: list[str] = []
        for model in models:
            script, served = model if isinstance(model, tuple) else (model, None)
            path = self.models / f"{script}.gguf" if isinstance(script, str) else script
            arguments += [str(path), "--name", served or path.stem]
        options = {"server": self.url, "node_name": name, "slots": slots, "threads": 1, **options}
        for option, value in options.items():
            arguments += [f"--{option.replace('_', '-')}", str(value)]
        log = self.folder / f"{name}-{len(self.nodes)}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [Path(sys.executable).with_name("lightphon-node"), "run", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "LIGHTPHON_NODE_TOKEN": self.running.node_token, "PYTHONWARNINGS": "error"},
            )
        node = Node(name, popen, log)
        self.nodes.append(node)

        def ready() -> bool:
            assert popen.poll() is None, node.said()
            return len([seen for seen in self.seen() if seen.node == name]) == len(models)

        until(ready)
        node.find_engines()
        return node

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for node in self.nodes:
            node.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scripted models: greeting.gguf, endless.gguf and so on."""
    folder = tmp_path_factory.mktemp("models")
    for name in SCRIPTS:
        script: scripted.Script = getattr(scripted, name.upper())
        script.write(folder / f"{name}.gguf", context=ENDLESS_CONTEXT)
    return folder


@pytest.fixture(scope="session")
def run_system(run_server: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`with run_system(gguf={...}, openclaw={...}, lightning={...}, limits={...}, **settings) as system:`, every
    installed plugin, and no node."""

    @contextmanager
    def run(
        gguf: dict[str, Any] | None = None,
        openclaw: dict[str, Any] | None = None,
        lightning: dict[str, Any] | None = None,
        limits: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Iterator[System]:
        folder = tmp_path_factory.mktemp("system")
        plugins = PluginsSettings(tables={"gguf": gguf or {}, "openclaw": openclaw or {}, "lightning": lightning or {}})
        allowed = {**LIMITS, **(limits or {})}
        with run_server(folder / "data", *installed(), limits=allowed, plugins=plugins, **settings) as running:
            system = System(running, models, folder)
            try:
                yield system
            finally:
                system.close()

    return run


@pytest.fixture
def start_system(run_system: Any) -> Iterator[Callable[..., System]]:
    """As `run_system`, until the test ends."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(run_system(**settings))


@pytest.fixture(scope="session")
def system(run_system: Any) -> Iterator[System]:
    """One node with every scripted model, for tests that leave it as it was."""
    with run_system() as system:
        system.start_node(*SCRIPTS, context=ENDLESS_CONTEXT)
        yield system


@pytest.fixture(scope="session")
def greeter(run_system: Any) -> Iterator[System]:
    """One node with the greeting alone, so that "auto" says what is expected; shared likewise."""
    with run_system() as system:
        system.start_node("greeting")
        yield system


@pytest.fixture(name="until", scope="session")
def _until() -> Callable[..., Any]:
    """`until(condition, timeout_s)` waits for other threads and processes."""
    return until
