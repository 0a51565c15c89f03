"""The engine's process: starting, ending, and failing to load. What it answers is tested in test_answers.py."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings


def settings(path: Path) -> LlamaCppSettings:
    return LlamaCppSettings(path=path, alias="served", slots=1, context=512, threads=1)


def ends_within(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@pytest.fixture
def endless_load(tmp_path: Path) -> Iterator[Path]:
    """A model file that never comes: llama.cpp waits for it inside its constructor, where it holds the GIL."""
    path = tmp_path / "never.gguf"
    os.mkfifo(path)
    yield path
    if path.exists():
        path.unlink()


async def is_being_read(fifo: Path) -> int:
    """Wait until somebody opens the file for reading; a descriptor that keeps them waiting for its contents."""
    async with asyncio.timeout(20):
        return await asyncio.to_thread(os.open, fifo, os.O_WRONLY)


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


async def test_an_engine_can_be_stopped_while_it_loads(endless_load: Path) -> None:
    engine = LlamaCpp(settings(endless_load))
    start = asyncio.create_task(engine.start())
    writer = await is_being_read(endless_load)
    try:
        assert engine.pid is not None
        pidfd = os.pidfd_open(engine.pid)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert ends_within(pidfd, 0)
        os.close(pidfd)
    finally:
        os.close(writer)


PARENT = """
import asyncio, sys
from pathlib import Path
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings

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


@pytest.mark.parametrize("moment", ["ready", "loading"])
async def test_the_child_does_not_outlive_a_killed_parent(moment: str, models: Path, endless_load: Path) -> None:
    path = models / "endless.gguf" if moment == "ready" else endless_load
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert parent.stdout is not None
    writer = None
    try:
        async with asyncio.timeout(20):
            pidfd = os.pidfd_open(int(await parent.stdout.readline()))
            if moment == "ready":
                assert await parent.stdout.readline() == b"ready\n"
            else:
                writer = await is_being_read(endless_load)
        parent.kill()
        assert ends_within(pidfd, 5)
        os.close(pidfd)
    finally:
        if writer is not None:
            os.close(writer)
        if parent.returncode is None:
            parent.kill()
        await parent.wait()


async def test_a_file_that_llama_cpp_refuses_gives_one_line(models: Path, tmp_path: Path) -> None:
    whole = (models / "greeting.gguf").read_bytes()
    cases = {"missing": None, "truncated": whole[:-1000], "garbage": b"hello" * 1000, "headless": whole[:2000]}
    for name, content in cases.items():
        path = tmp_path / f"{name}.gguf"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(EngineError) as caught:
            await LlamaCpp(settings(path)).start()
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
