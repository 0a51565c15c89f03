"""HTTP under Stripe's library: the one place that waits."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterable, Mapping
from typing import Any

import httpx
import stripe

TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0

# Else the library writes an id to the disk, and tells Stripe the platform and how long requests took.
stripe.enable_telemetry = False
# It logs whole answers where it is let, with the payer's name and address.
logging.getLogger("stripe").setLevel(logging.WARNING)


class Connection(stripe.HTTPClient):
    """The library's own one over httpx waits for 80 seconds, and reads the certificates of all authorities where nobody
    shows one."""

    name = "httpx"

    def __init__(self, base_url: str) -> None:
        super().__init__()
        context = ssl.create_default_context() if base_url.startswith("https:") else _no_tls()
        self._http = httpx.AsyncClient(
            verify=context,
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            follow_redirects=False,
            trust_env=base_url.startswith("https:"),
        )

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            answer = await self._http.request(method, url, headers=dict(headers), content=post_data)
        except httpx.HTTPError as error:
            raise stripe.APIConnectionError(f"A {type(error).__name__} was raised.") from None  # type: ignore[no-untyped-call]  # as the library has it
        return answer.content, answer.status_code, answer.headers

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[AsyncIterable[bytes], int, Mapping[str, str]]:
        raise NotImplementedError("nothing here is streamed")

    async def close_async(self) -> None:
        await self._http.aclose()


def _no_tls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
