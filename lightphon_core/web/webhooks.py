"""POST /webhooks/{provider}: what payment providers call. The provider's plugin says what a call is worth."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Request, post
from litestar.datastructures import State
from litestar.params import PathParameter

from lightphon_core.errors import InvalidRequest
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.web.inference import read_body
from lightphon_core.web.openapi import TAKES_BODY, refusals

MAX_BODY_BYTES = 262_144


class Received(msgspec.Struct, frozen=True):
    """It has been taken; there is no need to call again."""

    received: bool


@post(
    "/webhooks/{provider:str}", name="webhook", status_code=200, tags=["deposits"], responses=refusals(404, *TAKES_BODY)
)
async def receive_webhook(
    request: Request[None, None, State],
    provider: Annotated[str, PathParameter(description="The provider's name.", min_length=1, max_length=64)],
) -> Received:
    """For payment providers alone. Every other status than 200 asks them to call again."""
    body = await read_body(request, MAX_BODY_BYTES)
    if body is None:
        raise InvalidRequest("The body did not come whole.")
    deposits: Deposits = request.app.state.deposits
    await deposits.webhook(provider, {name.lower(): value for name, value in request.headers.items()}, body)
    return Received(True)
