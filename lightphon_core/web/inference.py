"""The inference routes, in all their places: chats, plain completions, infill, embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from litestar import Request, post
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from lightphon_core.errors import BodyTooLarge
from lightphon_core.openai import request as wire
from lightphon_core.openai.ratelimits import rate_limit_headers
from lightphon_core.serving.admission import admit
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.serve import begin
from lightphon_core.types import Principal, Scope
from lightphon_core.web.authentication import authenticate, came_via, credentials_of, require
from lightphon_core.web.edge.access_log import LOGGED, request_id
from lightphon_core.web.edge.bodies import HOLDER
from lightphon_core.web.errors import LIMITS
from lightphon_core.web.inference_operations import (
    INFERENCE,
    ChatCompletions,
    Completions,
    Embeddings,
    FimCompletions,
)
from lightphon_core.web.openapi import KEY, refusals
from lightphon_core.web.paths import with_prefixes
from lightphon_core.web.routing_headers import routing_headers
from lightphon_core.web.stream import EventStream, until_gone

Asked = Request[None, None, State]
AnyRequest = Request[Any, Any, State]
Who = Callable[[], Awaitable[Principal]]

SESSION_HEADER = "x-session-id"

LARGE_BYTES = 262_144
"""A body of more takes milliseconds to read, or many of them."""

CLIENT_GONE = 499
"""nginx's status for a client that hung up; nobody sees it."""

KNOWN_S = 1.0
"""Seconds after which it is asked again whom a request acts for, where its body took as long."""


_inference = partial(post, status_code=200, tags=["inference"], security=KEY, responses=refusals(*INFERENCE))


@_inference(with_prefixes("/chat/completions"), name="chat_completions", operation_class=ChatCompletions)
async def create_chat_completion(request: Asked) -> ASGIApp:
    """One chat completion, streamed or whole."""
    return await _answer(request, "/v1/chat/completions")


@_inference(with_prefixes("/completions"), name="completions", operation_class=Completions)
async def create_completion(request: Asked) -> ASGIApp:
    """One plain completion, streamed or whole; with a `suffix`, of the text that belongs before it."""
    return await _answer(request, "/v1/completions")


@_inference(with_prefixes("/fim/completions"), name="fim_completions", operation_class=FimCompletions)
async def create_fim_completion(request: Asked) -> ASGIApp:
    """The text between a prompt and a suffix, as Mistral's API has it: answered as a chat."""
    return await _answer(request, "/v1/fim/completions")


@_inference(with_prefixes("/embeddings"), name="embeddings", operation_class=Embeddings)
async def create_embeddings(request: Asked) -> ASGIApp:
    """A vector for each text."""
    return await _answer(request, "/v1/embeddings")


ROUTES = (create_chat_completion, create_completion, create_fim_completion, create_embeddings)


async def answer(request: AnyRequest, path: str, who: Who) -> ASGIApp:
    """The journey of a request to `path`, from who asks to the answer. `who` says whom it acts for, each time anew, and
    raises `Unauthenticated` or `PermissionDenied` where that is nobody, or nobody any more."""
    gateway: Gateway = request.app.state.gateway
    principal, asked_at = await who(), gateway.clock.monotonic()
    request.scope["state"][HOLDER] = principal.account_id
    body = await read_body(request, gateway.max_body_bytes)
    if body is None:
        return ASGIResponse(status_code=CLIENT_GONE)
    if gateway.clock.monotonic() - asked_at >= KNOWN_S:
        principal = await who()  # or who holds bodies back could spend with a key that was revoked meanwhile
    async with _alone(gateway, len(body)):
        asked = wire.parse(
            path,
            body,
            max_output_tokens=gateway.limits.max_output_tokens,
            session_id=request.headers.get(SESSION_HEADER),
            via=came_via(request),
        )
    del body  # what travels of it is in `asked`, which lets go of it
    admission = await admit(gateway.limiter, principal, gateway.account_limits, asked.needs.prompt_tokens)
    limits = request.scope["state"][LIMITS] = rate_limit_headers(admission.standings)
    exchange = begin(gateway, asked, principal, request_id(request.scope), admission, still=who)
    request.scope["state"][LOGGED] = True
    gone = asyncio.create_task(until_gone(request.receive))
    gone.add_done_callback(lambda _: exchange.abandon())
    try:
        if exchange.outlet is not None:
            await exchange.outlet.opened()
            headers = {**limits, **routing_headers(exchange.routing_info)}
            return EventStream(exchange.outlet, headers, done=gone.cancel)
        whole = await exchange.whole()
    except BaseException:
        exchange.abandon()
        gone.cancel()
        raise
    gone.cancel()
    if whole is None:
        return ASGIResponse(status_code=CLIENT_GONE)
    headers = {**limits, **routing_headers(exchange.routing_info)}
    return ASGIResponse(body=whole, media_type="application/json", headers=headers)


@asynccontextmanager
async def _alone(gateway: Gateway, size: int) -> AsyncGenerator[None, None]:
    """While a body of so many bytes is read. Large ones that are whole at once are not read one after the other without
    anybody else being served in between."""
    if size <= LARGE_BYTES:
        yield
        return
    async with gateway.reading:
        await asyncio.sleep(0)
        yield


async def _answer(request: Asked, path: str) -> ASGIApp:
    return await answer(request, path, partial(_who, request))


async def _who(request: Asked) -> Principal:
    gateway: Gateway = request.app.state.gateway
    principal = await authenticate(gateway.authenticators, credentials_of(request))
    require(principal, Scope.INFERENCE)
    return principal


async def read_body(request: AnyRequest, limit: int) -> bytes | None:
    """The request's body; None if the client hung up before it was whole. Raises `BodyTooLarge` as soon as it is known
    to be over `limit` bytes."""
    declared = request.headers.get("content-length", "")
    read = int(declared) if declared.isdecimal() else 0
    parts: list[bytes] = []
    if read <= limit:
        read, more = 0, True
        while more and read <= limit:
            message = await request.receive()
            if message["type"] != "http.request":  # but a disconnect
                return None
            part = message["body"]
            parts.append(part)
            read += len(part)
            more = message["more_body"]
    if read > limit:
        raise BodyTooLarge(f"The body is over the limit of {limit} bytes. Send less, or smaller images.")
    return b"".join(parts)
