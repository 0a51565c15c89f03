"""httpx over aiohttp's connections: httpx says what is sent, and aiohttp sends it.

Plain httpx served a fraction of the requests and streams (benchmarks/http_transports.py). The package httpx-aiohttp
does the same for all that httpx can be asked to do; this is only what is needed here, and it tells a server that is not
there from one that hung up.
"""

import ssl
from collections.abc import AsyncIterator
from functools import cache

import aiohttp
import httpx

CONNECT_TIMEOUT_S = 5.0


class Transport(httpx.AsyncBaseTransport):
    """Make it in a running event loop. Each request has a connection of its own, which ends with it: servers hang up on
    idle ones without having said so, and a chat that failed for that must not be sent twice. It follows no redirect,
    unpacks nothing, uses no proxy or netrc file, and adds no header but `Connection`.

    Raises `httpx.ConnectError` where nothing can be connected to, and `httpx.ReadError` for whatever else goes wrong.
    """

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ssl=trusted()),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        request.headers.pop("Connection", None)
        try:
            answer = await self._session.request(
                request.method, str(request.url), headers=request.headers, data=body or None, allow_redirects=False
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise httpx.ConnectError("nothing can be connected to", request=request) from None
        except (TimeoutError, aiohttp.ClientError, OSError):
            raise httpx.ReadError("the server broke off", request=request) from None
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    async def aclose(self) -> None:
        await self._session.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while part := await self._answer.content.readany():
                yield part
        except (aiohttp.ClientError, OSError):
            raise httpx.ReadError("the server broke off") from None

    async def aclose(self) -> None:
        self._answer.close()


@cache
def trusted() -> ssl.SSLContext:
    """Certificates that come with httpx, and those of the system: a server at home may have one of its own."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
