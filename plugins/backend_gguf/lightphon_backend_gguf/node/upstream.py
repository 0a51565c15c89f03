"""Sends jobs to engines over HTTP on this machine. The plugin's only module that imports httpx."""

import asyncio
import json
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

import httpx

from lightphon_backend_gguf.node.served import Endpoint
from lightphon_backend_gguf.protocol.messages import JobFailed

_CONNECT_TIMEOUT_S = 5.0
_MAX_ERROR_BODY = 64 * 1024
_MAX_MESSAGE = 300
_QUOTED = 16
"""A run of this many characters that stands in both message and request is taken for a quotation of the prompt."""


_REFUSALS = (400, 404, 413, 415, 422, 501)
"""Statuses that blame the request. llama.cpp answers some such faults with 500; those are told by their text."""


class Upstream:
    """The way to the engines. An asynchronous context manager; `post` is for use inside it.

    Each job has a connection of its own: llama.cpp hangs up after a stream without having said so, which a job that
    came next on that connection would take for a failure; and on one machine a new one costs nothing to speak of.
    """

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        """Post a JSON body, and yield the answer's bytes as they arrive.

        Closing the generator closes the connection at once, which makes the engine stop. JobFailed if the engine
        refuses, is gone or breaks off, or if the whole answer takes longer than `timeout_s` seconds.
        """
        headers = {"content-type": "application/json", "accept-encoding": "identity", "connection": "close"}
        if endpoint.key:
            headers["authorization"] = f"Bearer {endpoint.key}"
        request = self._client.build_request("POST", endpoint.url + path, content=body, headers=headers)
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            # A time-out must not span a `yield`, whose caller may be another task, so each step has its own.
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(request, stream=True)
            try:
                if response.status_code != httpx.codes.OK:
                    async with asyncio.timeout_at(deadline):
                        raise failure(response.status_code, await _beginning(response), body, response.headers)
                parts = response.aiter_raw()
                while True:
                    async with asyncio.timeout_at(deadline):
                        part = await anext(parts, None)
                    if part is None:
                        break
                    yield part
            finally:
                await response.aclose()
        except TimeoutError:
            raise JobFailed("timed_out", f"The model did not finish within {timeout_s:g} seconds.") from None
        except httpx.ConnectTimeout:
            raise JobFailed("unavailable", "The engine does not answer.") from None
        except (httpx.HTTPError, httpx.StreamError):
            raise JobFailed("unavailable", "The engine is gone or broke off its answer.") from None


def failure(status: int, answer: bytes, request: bytes, headers: httpx.Headers | None = None) -> JobFailed:
    """What an engine's status and error body mean. `request` is the body that was sent, to find quotations of it."""
    error = _error_object(answer)
    message = str(error.get("message") or "")
    if error.get("type") == "exceed_context_size_error" or "too large to process" in message:
        return JobFailed("refused", _too_long(error), param="messages", code="context_length_exceeded")
    if status in (429, 503):
        return JobFailed("overloaded", "The engine is busy.", retry_after=_seconds(headers))
    if "input is not supported" in message:
        return JobFailed("refused", "This model takes text only.", param="messages")
    if status in _REFUSALS or "Failed to parse" in message:
        return JobFailed("refused", _presentable(message, request))
    return JobFailed("unavailable", f"The engine failed with status {status}.")


async def _beginning(response: httpx.Response) -> bytes:
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > _MAX_ERROR_BODY:
            break
    return body[:_MAX_ERROR_BODY]


def _error_object(answer: bytes) -> dict[str, Any]:
    """The `error` of an OpenAI error body, as an object; empty if the body is not one."""
    try:
        error = json.loads(answer)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {"message": error}


def _too_long(error: dict[str, Any]) -> str:
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(prompt, int) and isinstance(context, int):
        return f"The prompt is {prompt} tokens long; this model takes {context}, prompt and answer together."
    return "The prompt is longer than this model's context."


def _presentable(message: str, request: bytes) -> str:
    """The engine's message, on one line and of bounded length, or a general one if it quotes the request."""
    message = " ".join(message.rpartition("Jinja Exception: ")[2].split())[:_MAX_MESSAGE]
    sent = " ".join(request.decode(errors="replace").split())
    quotes = any(message[at : at + _QUOTED] in sent for at in range(len(message) - _QUOTED + 1))
    return "The engine refused the request." if quotes or not message else message


def _seconds(headers: httpx.Headers | None) -> float | None:
    try:
        return float(headers["retry-after"]) if headers else None
    except (KeyError, ValueError):
        return None
