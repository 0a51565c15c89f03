"""The contract of engines, on each kind there is; and engines that break it, which the suite has to catch."""

import asyncio
import json
from pathlib import Path

import pytest
from attrs import evolve, frozen
from lightphon_backend_gguf.node.dialect import LLAMA_CPP, Dialect, Feature
from lightphon_backend_gguf.node.engines.attached import Attached, AttachedSettings
from lightphon_backend_gguf.node.engines.base import Engine
from lightphon_backend_gguf.node.engines.ctransformers import CTransformersSettings
from lightphon_backend_gguf.node.engines.installed import installed
from lightphon_backend_gguf.node.engines.kinds import engine_for
from lightphon_backend_gguf.node.engines.llamacpp import FEATURES, LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.engines.llamaserver import LlamaServerSettings
from lightphon_backend_gguf.node.guard import Guarded
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.testing.engine_answers import check_cancel, check_choices, check_features, check_stop
from lightphon_backend_gguf.testing.engine_limits import check_lacking, check_parameters_off_the_list
from lightphon_backend_gguf.testing.engine_rig import Bench, Check, Rig
from lightphon_backend_gguf.testing.engines import EngineContract


def llama_cpp(path: Path, context: int, slots: int) -> LlamaCpp:
    return LlamaCpp(LlamaCppSettings(path=path, alias="served", slots=slots, context=context, threads=1))


class LlamaCppBench:
    slots = 2

    def engine(self, path: Path, *, context: int) -> Engine:
        return llama_cpp(path, context, self.slots)


class CTransformersBench:
    slots = 1

    def engine(self, path: Path, *, context: int) -> Engine:
        return engine_for(CTransformersSettings(path=path, alias="served", context=context, threads=1))


@frozen
class LlamaServerBench:
    binary: Path
    slots: int = 2

    def engine(self, path: Path, *, context: int) -> Engine:
        settings = LlamaServerSettings(
            self.binary, path, alias="served", slots=self.slots, context=context, threads=1, gpu_layers=0
        )
        return engine_for(settings)


class Behind(Engine):
    """An attached server that comes and goes with a test: llama.cpp of ours, which plays one that was there before."""

    def __init__(self, server: Engine) -> None:
        self._server = server
        self.dialect = server.dialect
        self._attached: Engine | None = None

    async def start(self) -> Endpoint:
        there = await self._server.start()
        settings = AttachedSettings(there.url, there.model, there.key, dialect=self.dialect)
        self._attached = Attached(settings, sleep=lambda _: asyncio.sleep(0.01))
        return await self._attached.start()

    async def exited(self) -> str:
        assert self._attached is not None
        return await self._attached.exited()

    async def stop(self) -> None:
        if self._attached is not None:
            await self._attached.stop()
        await self._server.stop()


class AttachedBench:
    slots = 2

    def engine(self, path: Path, *, context: int) -> Engine:
        return Behind(llama_cpp(path, context, self.slots))


class TestLlamaCpp(EngineContract):
    @pytest.fixture
    def bench(self) -> Bench:
        return LlamaCppBench()


class TestCTransformers(EngineContract):
    @pytest.fixture
    def bench(self) -> Bench:
        return CTransformersBench()


@pytest.mark.llama_server
class TestLlamaServer(EngineContract):
    @pytest.fixture
    def bench(self, llama_server: Path) -> Bench:
        return LlamaServerBench(llama_server)


@pytest.mark.llama_server
async def test_a_llama_server_tells_what_it_computes_with(llama_server: Path) -> None:
    found = await installed(f"llama-server={llama_server}")
    assert found is not None
    assert found.gpus is not None


class TestAttached(EngineContract):
    @pytest.fixture
    def bench(self) -> Bench:
        return AttachedBench()


class Careless(Behind):
    """An engine whose dialect is not what it should be."""

    def __init__(self, server: Engine, dialect: Dialect) -> None:
        super().__init__(server)
        self.dialect = dialect


class Lenient(Dialect):
    """Lets everything pass."""

    def prepare(self, request: Guarded, model: str) -> bytes:
        return json.dumps(request).encode()


class Deaf(Behind):
    """Goes on after the client has gone, with the only slot it has."""

    async def start(self) -> Endpoint:
        behind = await super().start()
        self._proxy = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        host, port = self._proxy.sockets[0].getsockname()
        self._target = behind.url.removeprefix("http://").split(":")
        return evolve(behind, url=f"http://{host}:{port}")

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, sink = await asyncio.open_connection(*self._target)
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(next(line for line in head.lower().split(b"\r\n") if b"content-length" in line).split(b":")[1])
        sink.write(head + await reader.readexactly(size))
        while part := await upstream.read(2**16):
            if not writer.is_closing():
                writer.write(part)
        sink.close()
        writer.close()

    async def stop(self) -> None:
        if hasattr(self, "_proxy"):
            self._proxy.close()
        await super().stop()


@frozen
class Broken:
    slots: int
    dialect: Dialect | None

    def engine(self, path: Path, *, context: int) -> Engine:
        server = llama_cpp(path, context, self.slots)
        return Deaf(server) if self.dialect is None else Careless(server, self.dialect)


@pytest.mark.parametrize(
    ("check", "dialect"),
    [
        (check_stop, Dialect(FEATURES, LLAMA_CPP - {"stop"})),
        (check_parameters_off_the_list, Dialect(FEATURES, LLAMA_CPP | {"n_predict"})),
        (check_parameters_off_the_list, Lenient(FEATURES, LLAMA_CPP)),
        (check_features, Dialect(FEATURES, LLAMA_CPP - {"logprobs"})),
        (check_features, Dialect(FEATURES, LLAMA_CPP - {"response_format"})),
        (check_choices, Dialect(FEATURES, LLAMA_CPP)),
        (check_lacking, Lenient(FEATURES - {Feature.LOGPROBS}, LLAMA_CPP)),
        (check_lacking, Lenient(FEATURES, LLAMA_CPP)),
        (check_cancel, None),
    ],
)
async def test_the_suite_catches_an_engine_that_breaks_its_promise(
    check: Check, dialect: Dialect | None, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError):
        await check(Rig(Broken(1, dialect), tmp_path))
