"""JSON over HTTP to a wallet's daemon, and what its failures mean."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from lightphon_core import LightPhonError, NotSent, ProviderUnavailable

TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 4_000_000
# A stream may be silent for days, and its other end gone for as long: the system asks, where it can how often.
_KEPT_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), seconds)
        for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


class Rejected(LightPhonError):
    """The daemon answered with an HTTP error. `status` is its code, `answer` the JSON that it sent, or
    the text where that is no JSON.

    Nothing of `answer` may be shown or logged as it is: daemons quote what they were sent.
    """

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__(f"The Lightning wallet answered with HTTP status {status}.")
        self.status = status
        self.answer = answer


class Daemon:
    """One daemon at `base_url`, asked with these headers. `ca` is a file with the certificate that it shows, where no
    public authority has signed it. An answer of more bytes than `longest_answer` is refused. Proxies of the environment
    are not used, redirects not followed, cookies not kept.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        ca: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        longest_answer: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._longest_answer = longest_answer
        # To read all authorities takes 30 ms, which is wasted where nobody shows a certificate.
        has_tls = base_url.lower().startswith("https:")
        context = ssl.create_default_context(cafile=None if ca is None else str(ca)) if has_tls else _no_tls()
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers=dict(headers or {}),
            auth=auth,
            transport=httpx.AsyncHTTPTransport(verify=context, trust_env=False, socket_options=_KEPT_ALIVE),
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            trust_env=False,
            follow_redirects=False,
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        content: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The JSON of an answer.

        Raises:
            Rejected: it answered with an HTTP error.
            NotSent: no connection could be made.
            ProviderUnavailable: it did not answer, or not with JSON; what was asked for may have been done.
        """
        try:
            async with self._request(method, path, params, content, form, timeout_s) as response:
                body = await self._body(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failure(error) from error
        if response.is_error:
            raise Rejected(response.status_code, _json_or_text(body))
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ProviderUnavailable("The Lightning wallet did not answer with JSON.") from error

    async def lines(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Mapping[str, str | int] | None = None,
        content: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Any, None]:
        """The JSON of each line of an answer that does not end by itself, and may begin late. Raises as `ask`."""
        try:
            async with self._request(method, path, params, content, None, None, endless=True) as response:
                if response.is_error:
                    raise Rejected(response.status_code, _json_or_text(await self._body(response)))
                async for line in response.aiter_lines():
                    if line.strip():
                        yield _parsed(line)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failure(error) from error

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > self._longest_answer:
                raise ProviderUnavailable("The Lightning wallet sent an answer that is too long.")
        return bytes(body)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None,
        content: Mapping[str, Any] | None,
        form: Mapping[str, str] | None,
        timeout_s: float | None,
        *,
        endless: bool = False,
    ) -> AsyncGenerator[httpx.Response, None]:
        timeout: Any = httpx.USE_CLIENT_DEFAULT
        if endless:
            timeout = httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S, read=None)
        elif timeout_s is not None:
            timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        self._client.cookies.clear()
        async with self._client.stream(
            method, path, params=params, json=content, data=form, timeout=timeout
        ) as response:
            yield response


def _no_tls() -> ssl.SSLContext:
    """A context that trusts nobody."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _failure(error: Exception) -> ProviderUnavailable:
    # The text of httpx's errors has the address, which is nobody's business but the operator's.
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return NotSent("The Lightning wallet cannot be reached at the moment. Try again.")
    return ProviderUnavailable("The Lightning wallet does not answer at the moment.")


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable("The Lightning wallet sent a line that is not JSON.") from error


def _json_or_text(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
