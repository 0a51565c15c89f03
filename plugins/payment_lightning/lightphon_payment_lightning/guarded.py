"""Requests to servers that a stranger names. They reach the public internet over https, and nothing else.

The name is resolved here, every address that it has must be public, and the connection goes to the very address that
was looked at: a name that answers differently the next time changes nothing. The TLS certificate must be the name's.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from lightphon_core import ProviderUnavailable
from lightphon_payment_lightning.addresses import AddressError, Target
from lightphon_payment_lightning.public import is_public

TIMEOUT_S = 10.0
MAX_BYTES = 65_536
_AT_ONCE = 8

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host, for a port; empty where there is no such host. Raises `OSError` where nobody can tell."""


class SystemResolver:
    """The machine's own resolver, in threads of its own: a name server that is slow on purpose keeps nobody else
    waiting who needs a thread."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise
            return []
        except UnicodeError:
            return []
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedClient:
    """Asks for small JSON objects. No redirect is followed, no proxy of the environment used, no cookie kept, no
    connection kept open. `permits` says to which IP addresses one may lead; all but `is_public` is for trials on one
    machine."""

    def __init__(
        self,
        *,
        permits: Callable[[str], bool] = is_public,
        resolver: Resolver | None = None,
        context: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._permits = permits
        self._resolver = resolver or SystemResolver()
        self._context = context or ssl.create_default_context()
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def get_json(self, target: Target) -> dict[str, Any]:
        """The JSON object that `target` answers with.

        Raises:
            AddressError: it may not be asked, or answers what no such server does. Trying again changes nothing.
            ProviderUnavailable: it does not answer now, or not in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._places:
                status, body = await self._get(target, await self._address_of(target))
        except (TimeoutError, OSError, httpx.HTTPError, ssl.SSLError) as error:
            # Why is not told: it would say what stands behind names and ports.
            raise ProviderUnavailable(f"{target.host} does not answer at the moment.") from error
        if status >= 500:
            raise ProviderUnavailable(f"{target.host} does not answer at the moment.")
        if 300 <= status < 400:
            raise AddressError(f"{target.host} sends elsewhere, where nobody follows.")
        return _object(body, status, target)

    async def _address_of(self, target: Target) -> str:
        addresses = await self._resolver(target.host, target.port)
        # A name without addresses is refused in the same words, or the answers would list a private network's names.
        if not addresses or not all(map(self._permits, addresses)):
            raise AddressError(f"{target.host} is no public host.")
        return addresses[0]

    async def _get(self, target: Target, address: str) -> tuple[int, bytes]:
        pinned = f"[{address}]" if ":" in address else address
        async with (
            httpx.AsyncClient(
                verify=self._context, trust_env=False, follow_redirects=False, timeout=self._timeout_s
            ) as client,
            client.stream(
                "GET",
                f"https://{pinned}:{target.port}{target.path}",
                headers={
                    "Host": target.authority,
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    "Connection": "close",
                    "User-Agent": "lightphon",
                },
                extensions={"sni_hostname": target.host},
            ) as response,
        ):
            body = b""
            # Raw: what is compressed could be small here, and anything once it is not.
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_BYTES:
                    raise AddressError(f"{target.host} answers with more than any Lightning address has to say.")
            return response.status_code, body


def _object(body: bytes, status: int, target: Target) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        if status >= 400:
            raise AddressError(f"{target.host} knows nobody of this Lightning address.")
        raise AddressError(f"{target.host} does not answer as the server of a Lightning address.")
    return answer
