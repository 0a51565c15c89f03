"""From models to offers and engines: by name, and of a server that runs already."""

from pathlib import Path

import gguf
import pytest
from lightphon_backend_gguf.node.engines.attached import Attached
from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp
from lightphon_backend_gguf.node.engines.llamaserver import LlamaServer
from lightphon_backend_gguf.node.models.sources import LocalSource, ServerSource
from lightphon_backend_gguf.node.planning.locate import Located
from lightphon_backend_gguf.node.planning.plan import PlanError, Planned, plan
from lightphon_backend_gguf.node.planning.wishes import Wish
from lightphon_backend_gguf.testing import scripted


async def planned(wish: Wish, place: Path | ServerSource) -> Planned:
    (only,) = await plan([Located(wish, place, wish.name)], threads=1)
    return only


async def test_the_engine_is_the_one_that_is_named(models: Path, tmp_path: Path) -> None:
    path = models / "greeting.gguf"
    source = LocalSource(path)
    usual = await planned(Wish(source, context=64, slots=3), path)
    assert (usual.memory_limit, usual.memory_estimate is None) == (None, False)
    assert (await planned(Wish(source, memory_limit=2**30), path)).memory_limit == 2**30
    assert (usual.offer.engine, usual.offer.slots, usual.offer.model.context_length) == ("llama.cpp", 3, 64)
    assert {"logprobs", "choices"} <= set(usual.offer.model.capabilities)
    alone = await planned(Wish(source, slots=1), path)
    assert "choices" not in alone.offer.model.capabilities, "a choice takes a slot"
    old = await planned(Wish(source, engine="ctransformers"), path)
    assert not {"logprobs", "choices", "json"} & set(old.offer.model.capabilities)
    assert isinstance(usual.engine(), LlamaCpp)
    assert usual.engine() is not usual.engine()
    program = tmp_path / "my-server"
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    own = await planned(Wish(source, engine=f"llama-server={program}"), path)
    assert own.offer.engine == "llama-server"
    assert isinstance(own.engine(), LlamaServer)
    for engine, wrong in [
        ("llama-server=/no/where", "There is no program /no/where"),
        ("magic", "magic is not one of"),
    ]:
        with pytest.raises(PlanError, match=wrong):
            await planned(Wish(source, engine=engine), path)


async def test_what_a_model_can_do_besides(models: Path, tmp_path: Path) -> None:
    path = models / "greeting.gguf"
    source = LocalSource(path)
    both = await planned(Wish(source, embedding=True), path)
    assert {"chat", "embedding"} <= set(both.offer.model.capabilities)
    filling = scripted.INFILL.write(tmp_path / "filling.gguf")
    assert "infill" in (await planned(Wish(source), filling)).offer.model.capabilities
    old = await planned(Wish(source, engine="ctransformers"), filling)
    assert "infill" not in old.offer.model.capabilities
    vectors = scripted.build(tmp_path / "vectors.gguf", ["a word"], embedding=True, marks=scripted.INFILL.marks)
    assert (await planned(Wish(source), vectors)).offer.model.capabilities == ("embedding",)
    with pytest.raises(PlanError, match="ctransformers makes no embeddings"):
        await planned(Wish(source, engine="ctransformers", embedding=True), path)
    server = ServerSource("http://127.0.0.1:9")
    with pytest.raises(PlanError, match="says itself what it does; leave embedding out"):
        await planned(Wish(server, embedding=True), server)


async def test_how_the_vectors_of_tokens_become_one(models: Path, tmp_path: Path) -> None:
    async def pooling(wish: Wish, path: Path) -> str | None:
        engine = (await planned(wish, path)).engine()
        assert isinstance(engine, LlamaCpp)
        return engine.settings.pooling

    source = LocalSource(tmp_path)
    bert = tmp_path / "bert.gguf"
    writer = gguf.GGUFWriter(bert, "bert")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    told = scripted.build(tmp_path / "told.gguf", ["a word"], embedding=True)
    assert await pooling(Wish(source), bert) == "mean"
    assert await pooling(Wish(source), told) is None, "the file says it"
    assert await pooling(Wish(source, embedding=True), models / "greeting.gguf") == "last"
    assert await pooling(Wish(source), models / "greeting.gguf") is None


async def test_a_part_that_is_missing(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "m-00001-of-00002.gguf"
    path.write_bytes((models / "greeting.gguf").read_bytes())
    with pytest.raises(PlanError, match=r"its part m-00002-of-00002\.gguf is not in the same folder"):
        await planned(Wish(LocalSource(path)), path)


async def test_a_server_that_runs_already(models: Path) -> None:
    engine = (
        await planned(Wish(LocalSource(Path("x")), name="a/served", context=64, slots=2), models / "greeting.gguf")
    ).engine()
    endpoint = await engine.start()
    try:
        source = ServerSource(endpoint.url + "/v1")
        (found,) = await plan([Located(Wish(source, slots=1), source, None)], threads=1, server_key=endpoint.key)
        assert (found.offer.id, found.offer.slots, "chat" in found.offer.model.capabilities) == ("a/served", 1, True)
        attached = found.engine()
        assert isinstance(attached, Attached)
        assert (await attached.start()).model == "a/served"
        await attached.stop()
        wrong = ServerSource(endpoint.url, "other")
        with pytest.raises(PlanError, match="does not have other; it has a/served"):
            await plan([Located(Wish(wrong), wrong, None)], threads=1, server_key=endpoint.key)
    finally:
        await engine.stop()
    with pytest.raises(EngineError):
        await plan([Located(Wish(source), source, None)], threads=1)


@pytest.mark.parametrize("url", ["127.0.0.1:11434", "ftp://127.0.0.1", "http://user@127.0.0.1"])
async def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(PlanError, match="the address must"):
        await planned(Wish(ServerSource(url)), ServerSource(url))
