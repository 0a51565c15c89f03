"""The engine's process: starting, ending, and failing to load. What it answers is tested in test_answers.py."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings, load_error


def settings(path: Path) -> LlamaCppSettings:
    return LlamaCppSettings(path=path, alias="served", slots=1, context=512, threads=1)


def ends_within(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


ENDLESS_LOAD = """
import ctypes, os, types

class CommonParams:
    def __init__(self):
        self.model = self.cpuparams = self.cpuparams_batch = types.SimpleNamespace()

class ggml_backend_dev_type:
    GGML_BACKEND_DEVICE_TYPE_GPU, GGML_BACKEND_DEVICE_TYPE_IGPU = 1, 2

def get_device_info():
    return []

class Server:
    def __init__(self, params):
        open(os.environ["LOADING"], "w").close()
        ctypes.PyDLL(None).pause()  # unlike CDLL, this keeps the GIL
"""


@pytest.fixture
def loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[None]]:
    """Makes engines load for ever, holding the GIL as llama.cpp does; call it to wait until one has begun to."""
    (tmp_path / "xllamacpp.py").write_text(ENDLESS_LOAD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    begun = tmp_path / "loading"
    monkeypatch.setenv("LOADING", str(begun))
    os.mkfifo(begun)

    async def wait() -> None:
        await asyncio.wait_for(asyncio.to_thread(begun.read_bytes), 20)

    return wait


@contextmanager
def watched(pid: int) -> Iterator[int]:
    """A pidfd. The process does not outlive the block, so that a test which fails leaves nothing behind."""
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


async def test_the_child_is_out_of_the_terminals_reach_and_hides_its_key(models: Path) -> None:
    engine = LlamaCpp(settings(models / "greeting.gguf"))
    endpoint = await engine.start()
    try:
        assert engine.pid is not None
        assert os.getsid(engine.pid) == engine.pid
        assert endpoint.url.startswith("http://127.0.0.1:")
        assert len(endpoint.key) >= 32
        assert endpoint.key.encode() not in Path(f"/proc/{engine.pid}/cmdline").read_bytes()
        assert endpoint.key.encode() not in Path(f"/proc/{engine.pid}/environ").read_bytes()
        assert endpoint.key not in repr(endpoint)
    finally:
        await engine.stop()
    await engine.stop()


async def test_each_engine_has_a_key_of_its_own(models: Path) -> None:
    engines = [LlamaCpp(settings(models / "greeting.gguf")) for _ in range(2)]
    try:
        first, second = await asyncio.gather(*(engine.start() for engine in engines))
        assert first.key != second.key
        assert first.url != second.url
    finally:
        await asyncio.gather(*(engine.stop() for engine in engines))


async def test_a_crash_is_noticed_and_explained(models: Path) -> None:
    engine = LlamaCpp(settings(models / "greeting.gguf"))
    await engine.start()
    exited = asyncio.create_task(engine.exited())
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSEGV)
    async with asyncio.timeout(5):
        assert await exited == "the engine's process was ended by SIGSEGV"
    await engine.stop()


async def test_an_engine_can_be_stopped_while_it_loads(models: Path, loading: Callable[[], Awaitable[None]]) -> None:
    engine = LlamaCpp(settings(models / "greeting.gguf"))
    start = asyncio.create_task(engine.start())
    await loading()
    assert engine.pid is not None
    with watched(engine.pid) as pidfd:
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert ends_within(pidfd, 0)


PARENT = """
import asyncio, sys
from pathlib import Path
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings, load_error

async def main():
    engine = LlamaCpp(LlamaCppSettings(path=Path(sys.argv[1]), alias="m", slots=1, context=512, threads=1))
    start = asyncio.create_task(engine.start())
    while engine.pid is None:
        await asyncio.sleep(0)
    print(engine.pid, flush=True)
    await start
    print("ready", flush=True)
    await engine.exited()

asyncio.run(main())
"""


async def parent(path: Path) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, int]:
    """A process that runs an engine and says "ready" when it is; with its output, and the engine's process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    return process, process.stdout, int(await asyncio.wait_for(process.stdout.readline(), 20))


async def test_a_child_does_not_outlive_a_parent_that_is_killed(models: Path) -> None:
    process, output, child = await parent(models / "endless.gguf")
    with watched(child) as pidfd:
        assert await asyncio.wait_for(output.readline(), 20) == b"ready\n"
        process.kill()
        await process.wait()
        assert ends_within(pidfd, 5)


async def test_nor_does_it_while_it_loads_and_holds_the_gil(
    models: Path, loading: Callable[[], Awaitable[None]]
) -> None:
    process, _, child = await parent(models / "greeting.gguf")
    with watched(child) as pidfd:
        await loading()
        assert not ends_within(pidfd, 0)
        process.kill()
        await process.wait()
        assert ends_within(pidfd, 5)


async def test_a_file_that_llama_cpp_refuses_gives_one_line(models: Path, tmp_path: Path) -> None:
    whole = (models / "greeting.gguf").read_bytes()
    cases = {"missing": None, "truncated": whole[:-1000], "garbage": b"hello" * 1000, "headless": whole[:2000]}
    for name, content in cases.items():
        path = tmp_path / f"{name}.gguf"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(EngineError) as caught:
            await LlamaCpp(settings(path)).start()
        assert caught.value.lasting
        message = str(caught.value)
        assert message.startswith(f"llama.cpp cannot load {path}: ")
        assert "\n" not in message
        reason = {"missing": "No such file", "truncated": "corrupted or incomplete", "garbage": "magic", "headless": ""}
        assert reason[name] in message, message


async def test_a_worker_that_cannot_even_begin_is_an_engine_error(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"libcudart\.so\.12: cannot open"):
        await LlamaCpp(settings(models / "greeting.gguf")).start()


def test_a_library_that_the_system_lacks_is_told_with_its_package() -> None:
    missing = "libgomp.so.1: cannot open shared object file: No such file or directory"
    told = load_error(f"Traceback (most recent call last):\n  import xllamacpp\nImportError: {missing}\n")
    assert told is not None
    assert missing in told
    assert "libgomp1 of Debian and Ubuntu" in told
