"""A server that runs already and speaks as OpenAI does: llama-server, Ollama, vLLM, LM Studio.

It is not ours to start or stop.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from attrs import field, frozen

from lightphon_backend_gguf.node.dialect import GENERAL, LLAMA_CPP, OPENAI, Dialect
from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.engines.listing import Listed, Told, listed
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.upstream import Upstream

WATCH_S = 5.0
"""How often an attached server is asked whether it is still there."""

MISSES = 2
"""How many times in a row it may not answer: one that is busy is not gone."""


@frozen
class AttachedSettings:
    """One model of a running server. `url` is as `base_url` returns it, `model` the server's own name for the model."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    dialect: Dialect = GENERAL


class Attached(Engine):
    """Looks whether the server is there and has the model, and goes on looking."""

    def __init__(
        self,
        settings: AttachedSettings,
        *,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self.dialect = settings.dialect

    async def start(self) -> Endpoint:
        settings = self._settings
        await check_address(settings.url)
        async with Upstream() as upstream:
            answer = await upstream.ask(settings.url + "/v1/models", settings.key)
        names = _names(answer)
        if names is None:
            raise EngineError(f"{settings.url} does not answer as an OpenAI server does: start it, or mend its address")
        if settings.model not in names:
            raise EngineError(f"{settings.url} does not have {settings.model}; it has {', '.join(names) or 'no model'}")
        return Endpoint(url=settings.url, key=settings.key, model=settings.model, dialect=self.dialect)

    async def exited(self) -> str:
        settings, missed = self._settings, 0
        async with Upstream() as upstream:
            while True:
                await self._sleep(WATCH_S)
                names = _names(await upstream.ask(settings.url + "/v1/models", settings.key))
                if names is not None and settings.model not in names:
                    return f"{settings.url} no longer has the model"
                missed = 0 if names is not None else missed + 1
                if missed >= MISSES:
                    return f"{settings.url} no longer answers"

    async def stop(self) -> None:
        """It was not ours to start."""


def base_url(address: str) -> str:
    """The base of a server's address, without /v1 and without a slash at the end.

    ValueError, with a line for the operator, for what is no address of a server on this machine or its network.
    """
    try:
        parts = urlsplit(address.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the address is not a valid URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("the address must begin with http:// or https://")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("the address must have no user name, query or fragment")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1"), "", ""))


async def check_address(url: str) -> None:
    """EngineError for an address outside this machine and its network: prompts would leave them."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    except OSError:
        raise EngineError(f"{url}: there is no such host") from None
    for *_, address in found:
        if ip_address(str(address[0]).partition("%")[0]).is_global:
            raise EngineError(f"{url} is on the internet; a node serves what runs on its machine or network")


async def discover(url: str, key: str = "") -> list[Listed]:
    """The models of a running server, with what it tells of each. EngineError if none can be found."""
    await check_address(url)
    async with Upstream() as upstream:
        models = await upstream.ask(url + "/v1/models", key)
        names = _names(models)
        if not names:
            raise EngineError(f"{url} lists no models under /v1/models: start it, or mend its address")
        told = Told(models=models, props=await upstream.ask(url + "/props", key))
        if told.props is None:
            for name in names:
                body = json.dumps({"model": name}).encode()
                told.shown[name] = await upstream.ask(url + "/api/show", key, body=body)
        for name in names:
            # Elsewhere a question might load a model, or keep one in memory, that nobody asked for.
            if told.is_llama_cpp or told.is_vllm(name):
                body = json.dumps({"model": name, "input": ["a"]}).encode()
                told.embedded[name] = await upstream.ask(url + "/v1/embeddings", key, body=body)
    return [listed(told, name) for name in names]


def dialect_of(model: Listed, slots: int) -> Dialect:
    """What a listed model may be asked, where so many of its slots are ours."""
    return Dialect.of_slots(model.features, LLAMA_CPP if model.server == "llama.cpp" else OPENAI, slots)


def _names(models: Any) -> list[str] | None:
    """The ids in an answer of /v1/models; None if it is not one."""
    data = models.get("data") if isinstance(models, dict) else None
    if not isinstance(data, list):
        return None
    return [item["id"] for item in data if isinstance(item, dict) and isinstance(item.get("id"), str)]
