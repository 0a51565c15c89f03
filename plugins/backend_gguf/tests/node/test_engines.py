"""The contract of engines, on each kind there is; and engines that break it, which the suite has to catch."""

import asyncio
import json
from operator import mul
from pathlib import Path
from typing import Any

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
from lightphon_backend_gguf.node.models.facts import is_embedding, read_model
from lightphon_backend_gguf.node.models.gguf import GgufError
from lightphon_backend_gguf.node.models.infill import KNOWN, Infill, read_infill
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.testing.engine_answers import (
    check_cancel,
    check_choices,
    check_features,
    check_stop,
)
from lightphon_backend_gguf.testing.engine_limits import check_lacking, check_parameters_off_the_list
from lightphon_backend_gguf.testing.engine_rig import CHAT, PLAIN, Bench, Check, Rig, vectors_of
from lightphon_backend_gguf.testing.engine_texts import check_embeddings, check_infill, check_prompts
from lightphon_backend_gguf.testing.engines import EngineContract
from lightphon_backend_gguf.testing.minilm import find_minilm, write_minilm


def traits(path: Path) -> dict[str, Any]:
    """What a plan tells llama.cpp of a model file; nothing of a broken one."""
    try:
        header = read_model(path)
        return {"embedding": is_embedding(header), "infill": read_infill(path, header)}
    except GgufError:
        return {}


def llama_cpp(path: Path, context: int, slots: int) -> LlamaCpp:
    return LlamaCpp(
        LlamaCppSettings(path=path, alias="served", slots=slots, context=context, threads=1, **traits(path))
    )


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
            self.binary,
            path,
            alias="served",
            slots=self.slots,
            context=context,
            threads=1,
            gpu_layers=0,
            **traits(path),
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


@pytest.mark.minilm
@pytest.mark.parametrize("own", [False, True], ids=["llama.cpp", "llama-server"])
async def test_a_real_model_puts_near_what_means_the_same(own: bool, llama_server: Path, tmp_path: Path) -> None:
    bench: Bench = LlamaServerBench(llama_server) if own else LlamaCppBench()
    folder = find_minilm()
    assert folder is not None, "this test needs the group `minilm`"
    path = write_minilm(folder, tmp_path / "minilm.gguf")
    texts = [
        "That is a happy person",
        "That is a happy dog",
        "That is a very happy person",
        "Today is a sunny day",
        "How do I get my money back?",
        "Our refund policy is described below.",
        "The quarterly meeting was moved to Thursday.",
    ]
    async with Rig(bench, tmp_path).running(path=path) as engine:
        answer = await engine.embeds(texts)
        vectors = vectors_of(answer)

        def near(first: int, second: int) -> float:
            return sum(map(mul, vectors[first], vectors[second]))

        # What the model's authors publish for these four.
        assert [near(0, other) for other in (1, 2, 3)] == pytest.approx([0.695, 0.943, 0.257], abs=0.002)
        assert near(4, 5) > 2 * max(near(4, 6), near(5, 6), near(4, 3))
        assert answer["usage"]["prompt_tokens"] > 7 * len(texts)
        failed = await engine.refusal("/v1/embeddings", input=["word " * 600])
        assert failed.code == "context_length_exceeded"
        for path_, asked in ((CHAT, {}), (PLAIN, {"prompt": "Hi"})):
            assert (await engine.refusal(path_, **asked)).code == "unsupported_parameter", "it writes no text"


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
        (check_prompts, Dialect(FEATURES - {Feature.CHOICES}, LLAMA_CPP, 2)),
        (check_prompts, Dialect(FEATURES, LLAMA_CPP, 1)),
        (check_prompts, Lenient(FEATURES, LLAMA_CPP)),
        (check_infill, Dialect(FEATURES | {Feature.INFILL}, LLAMA_CPP)),
        (check_infill, Dialect(FEATURES | {Feature.INFILL}, LLAMA_CPP, 1, Infill("<P>", "<S>", "<M>"))),
        (check_infill, Dialect(FEATURES | {Feature.INFILL}, LLAMA_CPP, 1, evolve(KNOWN[0], prefix="<P>"))),
        (check_infill, Lenient(FEATURES, LLAMA_CPP)),
        (check_embeddings, Lenient(FEATURES, LLAMA_CPP)),
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
