"""/api/deposits/{id}/events: a deposit is followed until it is paid."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
from litestar import get
from litestar.openapi import ResponseSpec
from litestar.types import ASGIApp

from lightphon_core.errors import LightPhonError
from lightphon_core.openai.errors import error_body
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.outlet import Outlet
from lightphon_core.settings import Settings
from lightphon_core.types import Principal
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.deposits import GUARDS, DepositId, shown
from lightphon_core.web.api.json_request import JsonRequest
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals
from lightphon_core.web.stream import EventStream, until_gone

_UNREAD_BYTES = 65_536


class DepositEvent(msgspec.Struct, frozen=True):
    """One server-sent event. `event` is "deposit", and then `data` is the deposit as JSON; or "error"."""

    event: str
    data: str


@get(
    "/deposits/{deposit_id:str}/events",
    name="deposit_events",
    tags=["deposits"],
    guards=GUARDS,
    security=SESSION_OR_KEY,
    responses={
        200: ResponseSpec(
            DepositEvent,
            generate_examples=False,
            description="Server-sent events, the last of which says how the deposit ended.",
            media_type="text/event-stream",
        ),
        **refusals(*GUARDED, 404),
    },
)
async def follow_deposit(
    request: JsonRequest,
    deposit_id: DepositId,
    principal: Given[Principal],
    deposits: Given[Deposits],
    settings: Given[Settings],
    gateway: Given[Gateway],
) -> ASGIApp:
    """One deposit as it changes, until it is settled or over. The first event is how it stands, so connect at will."""

    def stop(error: LightPhonError | None = None) -> None:
        following.cancel()
        outlet.end(error)

    def left(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # of a body that was announced, and did not come
        stop()

    outlet = Outlet(
        limit=_UNREAD_BYTES,
        keep_alive_s=settings.limits.keep_alive_s,
        render=lambda error: b"event: error\ndata: " + error_body(error) + b"\n\n",
        abandon=stop,
    )

    async def follow() -> None:
        try:
            async with aclosing(deposits.followers.follow(principal.account_id, deposit_id)) as states:
                async for deposit in states:
                    outlet.write(b"event: deposit\ndata: " + msgspec.json.encode(shown(deposit, deposits)) + b"\n\n")
        except LightPhonError as error:
            outlet.end(error)
        else:
            outlet.end()

    following = asyncio.create_task(follow(), name="follow a deposit")
    gone = asyncio.create_task(until_gone(request.receive), name="whether who follows a deposit is there")
    gone.add_done_callback(left)
    forget = gateway.revocation.watch(principal.account_id, principal.credential_id, request.known_again, stop)

    def over() -> None:
        forget()
        following.cancel()
        gone.cancel()

    try:
        await outlet.opened()
    except BaseException:
        over()
        raise
    return EventStream(outlet, {}, done=over)
