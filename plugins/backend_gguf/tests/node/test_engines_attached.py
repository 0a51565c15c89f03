"""Servers that run already: what they tell of themselves, and when they come and go."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.node.engines.attached import (
    Attached,
    AttachedSettings,
    base_url,
    check_address,
    dialect_of,
    discover,
)
from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.serving.upstream import Upstream

Pages = dict[str, Any]
"""What a server says, by method and path; a callable gets the body."""

MODELS = {"object": "list", "data": [{"id": "tiny:latest", "object": "model"}, {"id": 7}, "x"]}
OLLAMA = {
    "capabilities": ["completion", "tools", "thinking", 5],
    "parameters": 'stop                           "<|im_end|>"\nnum_ctx                        4096',
    "details": {"quantization_level": "Q4_K_M"},
    "model_info": {
        "general.architecture": "qwen3",
        "qwen3.context_length": 40960,
        "general.parameter_count": 8190735360,
    },
}
VLLM = {"data": [{"id": "org/model", "max_model_len": 32768}]}


@asynccontextmanager
async def server(pages: Pages) -> AsyncGenerator[str]:
    """A server that says what `pages` hold, and 404 to the rest."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        size = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length")]
        body = await reader.readexactly(int(size[0]) if size else 0)
        page = pages.get(f"{method} {path}")
        page = page(body) if callable(page) else page
        text = json.dumps(page or {}).encode()
        status = b"200 OK" if page is not None else b"404 Not Found"
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status, len(text)) + text)
        writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_what_ollama_tells() -> None:
    asked: list[Any] = []

    def show(body: bytes) -> Any:
        asked.append(json.loads(body))
        return OLLAMA

    async with server({"GET /v1/models": MODELS, "POST /api/show": show}) as url:
        (model,) = await discover(url)
    assert asked == [{"model": "tiny:latest"}]
    assert (model.name, model.server, model.context, model.quantization) == ("tiny:latest", "ollama", 4096, "Q4_K_M")
    assert model.features == {Feature.CHAT, Feature.COMPLETION, Feature.TOOLS, Feature.JSON}
    assert model.params_b == pytest.approx(8.19, abs=0.01)
    assert model.reasoning
    assert "options" not in dialect_of(model, 2).parameters
    assert not model.features & {Feature.LOGPROBS, Feature.CHOICES}, "Ollama drops what it cannot do"


async def test_what_vllm_and_llama_cpp_and_others_tell() -> None:
    async with server({"GET /v1/models": VLLM}) as url:
        (model,) = await discover(url)
        assert (model.server, model.context) == ("vllm", 32768)
        assert Feature.TOOLS not in model.features
        assert {Feature.LOGPROBS, Feature.CHOICES} <= dialect_of(model, 4).features
        assert dialect_of(model, 4).choices == 4
        assert Feature.CHOICES not in dialect_of(model, 1).features
    props = {"default_generation_settings": {"n_ctx": 2048}, "total_slots": 3, "chat_template": "{{ tools }}"}
    async with server({"GET /v1/models": MODELS, "GET /props": props}) as url:
        (model,) = await discover(url)
        assert (model.server, model.context, model.slots) == ("llama.cpp", 2048, 3)
        assert Feature.TOOLS in model.features
        assert "grammar" in dialect_of(model, 2).parameters
    async with server({"GET /v1/models": MODELS}) as url:
        (model,) = await discover(url)
        assert (model.server, model.context, model.features) == ("other", None, {Feature.CHAT})


async def test_who_fills_in_and_who_makes_vectors() -> None:
    asked: list[Any] = []

    def embed(body: bytes) -> Any:
        asked.append(json.loads(body))
        return {"data": [{"index": 0, "embedding": [1.0]}]}

    async def found(pages: Pages) -> frozenset[Feature]:
        async with server({"GET /v1/models": MODELS, "POST /v1/embeddings": embed, **pages}) as url:
            (model,) = await discover(url)
            return model.features

    filling = {"capabilities": ["completion", "insert"]}
    assert Feature.INFILL in await found({"POST /api/show": filling})
    assert await found({"POST /api/show": {"capabilities": ["embedding"]}}) == {Feature.EMBEDDING}
    assert await found({}) == {Feature.CHAT}
    assert not asked, "asking could load a model"
    assert await found({"GET /v1/models": VLLM}) == {Feature.EMBEDDING}, "it writes no text then"
    assert asked == [{"model": "org/model", "input": ["a"]}]
    props = {"GET /props": {"default_generation_settings": {"n_ctx": 512}}}
    assert {Feature.COMPLETION, Feature.EMBEDDING} < await found(props)
    bert = {"data": [{"id": "bert", "meta": {"vocab_type": 3}}]}
    assert await found({"GET /v1/models": bert, **props}) == {Feature.EMBEDDING}
    for nothing in ({"data": [{}]}, {"data": "x"}, 5):
        assert Feature.EMBEDDING not in await found({**props, "POST /v1/embeddings": nothing})
    assert Feature.INFILL not in await found(props), "llama.cpp's server takes no notice of a suffix"


@pytest.mark.parametrize(
    "rubbish",
    [
        {"capabilities": 5, "parameters": ["num_ctx 5"], "model_info": "x", "details": []},
        {"parameters": "num_ctx 99999999999999\nnum_ctx\nnum_ctx -4", "model_info": {"general.architecture": {}}},
    ],
)
async def test_rubbish_tells_nothing(rubbish: Any) -> None:
    async with server({"GET /v1/models": MODELS, "POST /api/show": rubbish}) as url:
        (model,) = await discover(url)
    assert (model.context, model.params_b, model.quantization, model.features) == (None, None, None, {Feature.CHAT})


async def test_a_server_that_goes_and_returns() -> None:
    pages: Pages = {"GET /v1/models": MODELS}
    beats: asyncio.Queue[None] = asyncio.Queue()
    waits = 0

    async def sleep(_: float) -> None:
        nonlocal waits
        waits += 1
        await beats.get()

    async with server(pages) as url:
        settings = AttachedSettings(url, "tiny:latest")
        engine = Attached(settings, sleep=sleep)
        endpoint = await engine.start()
        assert (endpoint.url, endpoint.model) == (url, "tiny:latest")
        exited = asyncio.create_task(engine.exited())

        async def beat() -> None:
            before = waits
            beats.put_nowait(None)
            while waits == before and not exited.done():
                await asyncio.sleep(0)

        async with asyncio.timeout(10):
            await asyncio.sleep(0)
            await beat()
            del pages["GET /v1/models"]
            await beat()  # once may be a hiccup
            pages["GET /v1/models"] = MODELS
            await beat()
            assert not exited.done()
            del pages["GET /v1/models"]
            await beat()
            await beat()
            assert await exited == f"{url} no longer answers"
        with pytest.raises(EngineError, match="does not answer as an OpenAI server does"):
            await Attached(settings).start()
        pages["GET /v1/models"] = MODELS
        await Attached(settings).start()
        with pytest.raises(EngineError, match="does not have other; it has tiny:latest"):
            await Attached(AttachedSettings(url, "other")).start()


async def test_questions_are_bounded_and_redirects_not_followed() -> None:
    async with server({"GET /a": {"x": "y" * 5 * 2**20}, "GET /b": {"ok": True}}) as url, Upstream() as upstream:
        assert await upstream.ask(url + "/a") is None
        assert await upstream.ask(url + "/b") == {"ok": True}
        assert await upstream.ask(url + "/c") is None
        assert await upstream.ask("http://127.0.0.1:9/") is None


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("https://gpu.lan/llm/v1/", "https://gpu.lan/llm"),
    ],
)
def test_addresses(address: str, base: str) -> None:
    assert base_url(address) == base


@pytest.mark.parametrize(
    "address", ["ftp://x", "127.0.0.1:8080", "http://u:p@x", "http://x?y", "http://[", "http://x:y"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"^the address"):
        base_url(address)


async def test_only_this_machine_and_its_network() -> None:
    for url in ("http://127.0.0.1:1", "http://[::1]:1", "http://192.168.1.5", "http://10.1.2.3:8000"):
        await check_address(url)
    with pytest.raises(EngineError, match="is on the internet"):
        await check_address("http://8.8.8.8:80")
