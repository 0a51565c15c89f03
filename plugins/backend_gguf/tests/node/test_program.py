"""The command `lightphon-node` as a process, with real engines, against a small hub."""

import asyncio
import hashlib
import json
import os
import select
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from lightphon_backend_gguf.node.cli.run import TOKEN_VARIABLE
from lightphon_backend_gguf.node.hardware import physical_cores
from lightphon_backend_gguf.protocol.closing import CloseCode
from lightphon_backend_gguf.protocol.hub_session import Ended, HubSession, Joined, Output
from lightphon_backend_gguf.protocol.messages import SUBPROTOCOL
from lightphon_backend_gguf.testing import scripted
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

TOKEN = "np_a-token-of-the-tests"
DEADLINE_S = 20
ENDLESS = 2**17
"""A context that an endless answer does not fill while a test looks on."""


class Hub:
    """Takes one node in at a time. `until` waits for a condition on what the node has said."""

    def __init__(self) -> None:
        self.url = ""
        self.session = HubSession()
        self.output: dict[int, bytes] = {}
        self.ended: dict[int, Ended] = {}
        self._news = asyncio.Condition()
        self._wake = asyncio.Event()

    async def connection(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        if socket.request.headers["Authorization"] != f"Bearer {TOKEN}":
            return await socket.close(CloseCode.BAD_TOKEN)
        self.session = HubSession()
        writer = asyncio.create_task(self._write(socket))
        try:
            async for message in socket:
                if isinstance(message, str):
                    events = self.session.receive_text(message)
                else:
                    events = self.session.receive_bytes(message)
                for event in events:
                    match event:
                        case Joined():
                            self.session.welcome("n1", heartbeat_s=1.0)
                        case Output(job, data):
                            self.output[job] += data
                        case Ended(job):
                            self.ended[job] = event
                self._wake.set()
                await self._tell()
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
        return None

    async def _write(self, socket: ServerConnection) -> None:
        while True:
            self._wake.clear()
            while (message := self.session.next()) is not None:
                await socket.send(message)
            await self._wake.wait()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(holds)

    def start(self, offer: str, **body: object) -> int:
        """Send a chat job; its id."""
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True, "temperature": 0, **body}
        job = self.session.start_job(offer, "/v1/chat/completions", json.dumps(body).encode(), 60)
        self.output[job] = b""
        self._wake.set()
        return job

    def text(self, job: int) -> str:
        """What the model has said so far."""
        events = self.output[job].decode(errors="replace").split("\n\n")[:-1]
        deltas = [
            choice["delta"]
            for event in events
            if event != "data: [DONE]"
            for choice in json.loads(event.removeprefix("data: "))["choices"]
        ]
        return "".join(delta.get("content") or "" for delta in deltas)


@pytest.fixture
async def hub() -> AsyncGenerator[Hub, None]:
    hub = Hub()
    async with serve(hub.connection, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)]) as server:
        hub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield hub


class Process:
    """A running `lightphon-node`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    async def line(self, part: str) -> str:
        """Read standard error up to a line that holds this."""
        assert self._process.stderr is not None
        async with asyncio.timeout(DEADLINE_S):
            while line := (await self._process.stderr.readline()).decode():
                if part in line:
                    return line
        raise AssertionError(f"the node never said {part!r}")

    async def end(self) -> tuple[int, list[str]]:
        """Wait for the end: the exit status, and what was left on standard error."""
        async with asyncio.timeout(DEADLINE_S):
            _, errors = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, errors.decode().splitlines()

    def children(self) -> list[int]:
        """The process ids of its engines."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


@asynccontextmanager
async def node(*arguments: object, token: str = TOKEN) -> AsyncGenerator[Process, None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lightphon_backend_gguf.node",
        "run",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, TOKEN_VARIABLE: token, "PYTHONWARNINGS": "error", "PYTHONFAULTHANDLER": "1"},
    )
    running = Process(process)
    try:
        yield running
    finally:
        running.kill()
        await process.wait()


def gone(pidfds: list[int]) -> bool:
    """Whether all of these processes have ended, or do so within a second; closes the descriptors."""
    poll = select.poll()
    ended = []
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
        ended.append(bool(poll.poll(1000)))
        poll.unregister(pidfd)
        os.close(pidfd)
    return all(ended)


async def test_two_models_serve_jobs_and_a_signal_ends_it_all(hub: Hub, models: Path) -> None:
    arguments = ["--server", hub.url, "--threads", "1", "--slots", "3", "--name", "hello/there"]
    async with node(*arguments, models / "greeting.gguf", models / "json_answer.gguf") as process:
        await hub.until(lambda: len(hub.session.offers) == 2)
        assert list(hub.session.offers) == ["hello/there", "Tiny-Script"]
        offer = hub.session.offers["hello/there"]
        assert (offer.slots, offer.model.context_length, offer.model.quantization) == (3, 8192, "F16")
        jobs = {hub.start("hello/there"): scripted.GREETING.text, hub.start("Tiny-Script"): scripted.JSON_ANSWER.text}
        await hub.until(lambda: hub.ended.keys() >= jobs.keys())
        for job, text in jobs.items():
            assert hub.ended[job].failed is None
            assert hub.text(job) == text
        children = [os.pidfd_open(pid) for pid in process.children()]
        assert len(children) == 2
        os.kill(process.pid, signal.SIGINT)
        status, errors = await process.end()
        assert (status, errors[-1].endswith("Stopped.")) == (0, True), errors
        assert gone(children)
        assert not any("Traceback" in line for line in errors)


async def test_the_first_signal_drains_and_the_second_ends(hub: Hub, models: Path) -> None:
    async with node("--server", hub.url, "--threads", "1", "--context", ENDLESS, models / "endless.gguf") as process:
        await hub.until(lambda: bool(hub.session.offers))
        job = hub.start("Tiny-Script")
        await hub.until(lambda: bool(hub.output[job]))
        children = [os.pidfd_open(pid) for pid in process.children()]
        os.kill(process.pid, signal.SIGTERM)
        await hub.until(lambda: hub.session.draining)
        seen = len(hub.output[job])
        await hub.until(lambda: len(hub.output[job]) > seen + 1000)
        os.kill(process.pid, signal.SIGTERM)
        status, errors = await process.end()
        assert status == 0
        assert any("before all jobs are finished" in line for line in errors)
        assert gone(children)
        assert job not in hub.ended


async def test_draining_finishes_what_runs(hub: Hub, models: Path) -> None:
    async with node("--server", hub.url, "--threads", "1", models / "endless.gguf") as process:
        await hub.until(lambda: bool(hub.session.offers))
        job = hub.start("Tiny-Script", max_tokens=1500)
        await hub.until(lambda: bool(hub.output[job]))
        os.kill(process.pid, signal.SIGTERM)
        status, _ = await process.end()
        assert status == 0
        assert hub.ended[job].failed is None
        assert hub.output[job].endswith(b"data: [DONE]\n\n")


async def test_draining_has_a_limit(hub: Hub, models: Path) -> None:
    arguments = ["--server", hub.url, "--threads", "1", "--context", ENDLESS, "--drain-timeout", "0.2"]
    async with node(*arguments, models / "endless.gguf") as process:
        await hub.until(lambda: bool(hub.session.offers))
        job = hub.start("Tiny-Script")
        await hub.until(lambda: bool(hub.output[job]))
        os.kill(process.pid, signal.SIGTERM)
        assert (await process.end())[0] == 0


async def test_an_engine_that_dies_takes_only_its_own_model_along_and_comes_back(hub: Hub, models: Path) -> None:
    arguments = ["--server", hub.url, "--threads", "1", "--context", ENDLESS, "--name", "first", "--name", "second"]
    async with node(*arguments, models / "endless.gguf", models / "greeting.gguf") as process:
        await hub.until(lambda: len(hub.session.offers) == 2)
        session, job = hub.session, hub.start("first")
        await hub.until(lambda: bool(hub.output[job]))
        first, second = process.children()
        os.kill(first, signal.SIGKILL)
        await hub.until(lambda: list(hub.session.offers) == ["second"])
        await hub.until(lambda: job in hub.ended)
        failed = hub.ended[job].failed
        assert failed is not None
        assert failed.kind == "unavailable"
        line = await process.line("first is no longer served")
        assert "ended by SIGKILL" in line
        assert "Starting it again in " in line
        job = hub.start("second")
        await hub.until(lambda: job in hub.ended)
        assert hub.text(job) == scripted.GREETING.text
        await hub.until(lambda: len(hub.session.offers) == 2)
        job = hub.start("first", max_tokens=20)
        await hub.until(lambda: job in hub.ended)
        assert hub.ended[job].failed is None
        assert hub.session is session, "the link was lost"
        assert second in process.children()


async def test_offers_tell_what_is_true(hub: Hub, models: Path) -> None:
    file = models / "greeting.gguf"
    async with node("--server", hub.url, "--threads", "1", file):
        await hub.until(lambda: hub.session.offers and hub.session.offers["Tiny-Script"].model.sha256 is not None)
        offer = hub.session.offers["Tiny-Script"]
        assert offer.engine == "llama.cpp"
        assert offer.model.architecture == "llama"
        assert offer.model.file_bytes == file.stat().st_size
        assert offer.model.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        await hub.until(lambda: "memory_free_bytes" in hub.session.measured("Tiny-Script"))
        measured = hub.session.measured("Tiny-Script")
        assert measured["tokens_per_s"] > 0
        assert measured["prompt_tokens_per_s"] > 0
        hardware = hub.session.hardware
        assert hardware is not None
        assert hardware.cores == physical_cores()
        assert hardware.memory_bytes is not None
        assert 0 < measured["memory_free_bytes"] <= hardware.memory_bytes


async def test_a_signal_while_a_model_loads_even_if_the_engine_hangs(
    hub: Hub, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("import threading; threading.Event().wait()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with node("--server", hub.url, "--threads", "1", models / "greeting.gguf") as process:
        await process.line("Loading")
        await process.line("Connected")
        (child,) = [os.pidfd_open(pid) for pid in process.children()]
        os.kill(process.pid, signal.SIGTERM)
        assert (await process.end())[0] == 0
        assert gone([child])


@pytest.mark.parametrize("kind", ["missing", "truncated", "corrupt", "of another format"])
async def test_a_model_that_cannot_be_served(kind: str, models: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    whole = (models / "greeting.gguf").read_bytes()
    match kind:
        case "truncated":
            path.write_bytes(whole[:-1])
        case "corrupt":
            path.write_bytes(whole[:300] + b"\xff" * 300 + whole[600:])
        case "of another format":
            path.write_bytes(b"<html>")
    async with node("--server", "http://127.0.0.1:9", path) as process:
        status, errors = await process.end()
        assert status == 2
        assert len(errors) == 1
        assert errors[0].startswith(f"Error: {path}: ")


async def test_a_model_that_only_the_engine_refuses(hub: Hub, tmp_path: Path) -> None:
    path = scripted.build(tmp_path / "model.gguf", ["a word"])
    path.write_bytes(path.read_bytes().replace(b"tokenizer.ggml.model", b"tokenizer.ggml.wrong"))
    async with node("--server", hub.url, path) as process:
        status, errors = await process.end()
        assert status == 2
        assert errors[-1].startswith(f"Error: llama.cpp cannot load {path}: ")
        assert not any("Traceback" in line for line in errors)


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (["--server", "http://192.0.2.1"], TOKEN, "--server: the server's address must begin with https://"),
        (["--server", "nonsense"], TOKEN, "--server: the server's address must begin with https://"),
        (["--server", "http://127.0.0.1:9"], "", "There is no node token"),
        (["--server", "http://127.0.0.1:9"], "two words", "The node token is not one"),
        (["--server", "http://127.0.0.1:9", "--name", "a b"], TOKEN, "--name: 'a b' is not an id"),
        (["--server", "http://127.0.0.1:9", "--name", "a", "--name", "b"], TOKEN, "There are more --name than models"),
        (["--server", "http://127.0.0.1:9", "--node-name", "Grüße"], TOKEN, "--node-name: a name is"),
    ],
)
async def test_wrong_arguments(arguments: list[str], token: str, message: str, models: Path) -> None:
    async with node(*arguments, models / "greeting.gguf", token=token) as process:
        status, errors = await process.end()
        assert status == 2
        assert len(errors) == 1
        assert errors[0].startswith(f"Error: {message}")


async def test_two_models_of_one_name(models: Path) -> None:
    async with node("--server", "http://127.0.0.1:9", models / "greeting.gguf", models / "endless.gguf") as process:
        assert await process.end() == (2, ["Error: 2 models are called Tiny-Script: give each a --name of its own."])


async def test_a_token_that_the_server_refuses(hub: Hub, models: Path) -> None:
    async with node("--server", hub.url, "--threads", "1", models / "greeting.gguf", token="np_wrong") as process:
        status, errors = await process.end()
        assert status == 2
        assert "does not accept the node token" in errors[-1]
        assert not any("np_wrong" in line for line in errors)


async def test_in_a_terminal_there_is_a_live_view(hub: Hub, models: Path) -> None:
    """Log lines stay above it, and Ctrl-C, which a terminal sends to all of its processes, drains."""
    ours, theirs = os.openpty()
    arguments = ["run", "--server", hub.url, "--threads", "1", "--node-name", "[b]box", str(models / "greeting.gguf")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lightphon_backend_gguf.node",
        *arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, TOKEN_VARIABLE: TOKEN, "PYTHONWARNINGS": "error", "TERM": "xterm", "COLUMNS": "150"},
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = ""

    async def read(part: str) -> None:
        nonlocal seen
        async with asyncio.timeout(DEADLINE_S):
            while part not in seen:
                try:
                    seen += os.read(ours, 65536).decode(errors="replace")
                except BlockingIOError:
                    await asyncio.sleep(0.01)
                except OSError:  # the terminal's other end is closed
                    break
        assert part in seen, seen

    try:
        await read("offered")
        assert "[b]box: connected" in seen
        assert "Loaded" in seen
        os.killpg(process.pid, signal.SIGINT)
        await read("Stopped.")
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
        assert "Traceback" not in seen
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
