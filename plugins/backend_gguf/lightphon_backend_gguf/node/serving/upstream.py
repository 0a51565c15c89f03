"""Sends jobs to engines over HTTP on this machine. The plugin's only module that imports aiohttp.

aiohttp because a node shares its cores with the engine: httpx took 2 ms of them for each request and a quarter more for
each piece of an answer.
"""

import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from lightphon_backend_gguf.node.guard import Guarded, guarded, texts
from lightphon_backend_gguf.node.serving.failures import READ, failure
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.several import BrokenStream, Several
from lightphon_backend_gguf.protocol.messages import JobFailed

ASK_TIMEOUT_S = 5.0
"""How long a server may take to say something of itself."""

_CONNECT_TIMEOUT_S = 5.0
_MAX_TOLD = 4 * 2**20
_MAX_ERROR_BODY = 64 * 1024
_ADVICE = "Ask for fewer tokens (max_tokens), or try a smaller model."


class Upstream:
    """The way to the engines. An asynchronous context manager; `post` is for use inside it.

    Each job has a connection of its own: llama.cpp hangs up after a stream without having said so, which a job that
    came next on that connection would take for a failure; and on one machine a new one costs nothing to speak of.
    """

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def alive(self, endpoint: Endpoint, *, timeout_s: float) -> bool:
        """Whether an engine answers HTTP at all within so many seconds; what it answers does not matter."""
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            url = endpoint.url + "/v1/models"
            async with self._session.get(url, headers=headers, timeout=timeout, allow_redirects=False):
                return True
        except (TimeoutError, aiohttp.ClientError):
            return False

    async def post(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        """Post a JSON body, as far as the guard and the endpoint's dialect let it pass, and yield the answer's bytes.

        Closing the generator closes the connection at once, which makes the engine stop. JobFailed if the engine
        refuses, is gone or breaks off, or if the whole answer takes longer than `timeout_s` seconds.
        """
        request = guarded(body)
        body = endpoint.dialect.prepare(request, endpoint.model)
        several, param = _several(request), READ.get(path, "messages")
        headers = {"Content-Type": "application/json", **_authorization(endpoint.key)}
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_TIMEOUT_S)
        try:
            response = await self._session.post(
                endpoint.url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False
            )
            try:
                if response.status != HTTPStatus.OK:
                    answer = await response.content.read(_MAX_ERROR_BODY)
                    raise failure(response.status, answer, body, response.headers.get("Retry-After"), param=param)
                while part := await response.content.readany():
                    if several is None or (part := several.feed(part)):
                        yield part
                if several is not None and (part := several.end()):
                    yield part
            finally:
                response.close()
        except aiohttp.ConnectionTimeoutError:
            raise JobFailed("unavailable", "The engine does not answer.") from None
        except BrokenStream as broken:
            raise failure(broken.status, broken.answer, body, param=param) from None
        except TimeoutError:
            raise JobFailed("timed_out", f"The model did not finish within {timeout_s:g} seconds. {_ADVICE}") from None
        except aiohttp.ClientError:
            raise JobFailed("unavailable", "The engine is gone or broke off its answer.") from None

    async def ask(self, url: str, key: str = "", *, body: bytes | None = None, timeout_s: float = ASK_TIMEOUT_S) -> Any:
        """The decoded JSON that a server tells of itself: a GET, or with a body a POST.

        None if there is no server, no JSON, an answer other than 200 or one of more than a few megabytes.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_TIMEOUT_S)
        headers = _authorization(key)
        method = "GET" if body is None else "POST"
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    return None
                answer = bytearray()
                while part := await response.content.readany():
                    answer += part
                    if len(answer) > _MAX_TOLD:
                        return None
                return json.loads(answer)
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
            return None


def _authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _several(request: Guarded) -> Several | None:
    """What makes one answer of several choices; None where there is one choice, or no stream."""
    prompts = len(texts(request, "prompt"))
    if request.get("stream") is True and (prompts > 1 or (request.get("n") or 1) > 1):
        return Several(prompts=prompts)
    return None
