"""Sends requests to one server over HTTP. Together with its transport the plugin's only module that imports httpx."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

import lightphon_core
from lightphon_backend_openclaw.conditions import Condition, condition_of
from lightphon_backend_openclaw.transport import Transport
from lightphon_core import Secret, TimedOut, Unavailable

ASK_TIMEOUT_S = 10.0
"""How long a server may take to say what it offers."""
MAX_ANSWER = 256 * 2**20
"""Bytes of one answer. What one event of it may have is bounded by the core."""
MAX_LISTING = 8 * 2**20
MAX_ERROR_BODY = 64 * 2**10

_SLOW = "The server did not answer in time. Ask for fewer tokens (max_tokens), or try a smaller model."
_BROKEN = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL)


class NotWell(Exception):
    """The server did not list its models. `status` is that of its answer, if there was one."""

    def __init__(self, condition: Condition, status: int | None = None) -> None:
        super().__init__(condition.value)
        self.condition = condition
        self.status = status


class Answered(Exception):
    """The server answered a job with another status than 200. Holds the beginning of its body."""

    def __init__(self, status: int, body: bytes, retry_after: str | None) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.body = body
        self.retry_after = retry_after


class CannotConnect(Unavailable):
    """Nothing listens there, or not now."""


class Upstream:
    """The way to one server; `url` is its address without /v1. Make it in a running event loop.

    Only headers of our own go there. No redirect is followed, no cookie kept, no proxy or netrc file of the environment
    used, and nothing unpacked: what a server compresses all the same cannot be read.
    """

    def __init__(self, url: str, key: Secret | None) -> None:
        self._url = url
        self._key = key
        self._client = httpx.AsyncClient(
            transport=Transport(),
            follow_redirects=False,
            trust_env=False,
            # httpx would keep what one answer sets, and send it with the next one, which is another person's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": f"LightPhon/{lightphon_core.__version__}", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def models(self) -> bytes:
        """The body of GET /v1/models. Raises `NotWell`."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                reply = await self._send("GET", "/v1/models")
                try:
                    if reply.status_code != HTTPStatus.OK:
                        raise NotWell(condition_of(reply.status_code), reply.status_code)
                    body = await _beginning(reply, MAX_LISTING + 1)
                finally:
                    await reply.aclose()
        except httpx.ConnectError:
            raise NotWell(Condition.UNREACHABLE) from None
        except (TimeoutError, *_BROKEN):
            raise NotWell(Condition.SILENT) from None
        if len(body) > MAX_LISTING:
            raise NotWell(Condition.STRANGE)
        return body

    async def post(self, path: str, body: bytes, *, timeout_s: float) -> AsyncGenerator[bytes, None]:
        """Post a JSON body and yield the bytes of the answer. Closing the generator closes the connection.

        Raises `Answered`, `CannotConnect`, `Unavailable` for an answer that breaks off or is too large, and `TimedOut`
        for one that is not whole after `timeout_s` seconds.
        """
        # For each wait by itself: a time-out around a `yield` would strike whoever reads.
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                reply = await self._send("POST", path, body)
            try:
                if reply.status_code != HTTPStatus.OK:
                    async with asyncio.timeout_at(deadline):
                        said = await _beginning(reply, MAX_ERROR_BODY)
                    raise Answered(reply.status_code, said, reply.headers.get("Retry-After"))
                left = MAX_ANSWER
                async with aclosing(_parts(reply)) as parts:
                    while True:
                        async with asyncio.timeout_at(deadline):
                            part = await anext(parts, None)
                        if part is None:
                            return
                        if (left := left - len(part)) < 0:
                            raise Unavailable("The server's answer is too large.")
                        yield part
            finally:
                await reply.aclose()
        except httpx.ConnectError:
            raise CannotConnect("The server cannot be reached.") from None
        except TimeoutError:
            raise TimedOut(_SLOW) from None
        except _BROKEN:
            raise Unavailable("The server broke off its answer.") from None

    async def _send(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        headers = {"Accept": "application/json" if body is None else "text/event-stream, application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        request = self._client.build_request(method, self._url + path, content=body, headers=headers)
        return await self._client.send(request, stream=True)


async def _parts(reply: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for part in reply.aiter_raw():
        yield part


async def _beginning(reply: httpx.Response, most: int) -> bytes:
    """The body, or so many bytes of it."""
    read = bytearray()
    async with aclosing(_parts(reply)) as parts:
        async for part in parts:
            read += part
            if len(read) >= most:
                break
    return bytes(read[:most])
