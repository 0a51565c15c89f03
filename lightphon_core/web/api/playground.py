"""/api/playground/chat: a chat for whoever is logged in, without a key.

The inference routes are open to pages of every origin, so no cookie opens them. This one lies where the origin is
checked, and is the same journey from there on: limits, price, stream and revocation.
"""

from __future__ import annotations

from attrs import evolve
from litestar import post
from litestar.types import ASGIApp

from lightphon_core.accounts.sessions import is_session
from lightphon_core.errors import PermissionDenied
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.json_request import JsonRequest
from lightphon_core.web.inference import answer
from lightphon_core.web.inference_operations import INFERENCE, ChatCompletions
from lightphon_core.web.openapi import SESSION, refusals


@post(
    "/playground/chat",
    name="playground_chat",
    tags=["inference"],
    status_code=200,
    guards=[Requires(Scope.ACCOUNT)],
    operation_class=ChatCompletions,
    security=SESSION,
    responses=refusals(*INFERENCE),
)
async def chat_in_playground(request: JsonRequest) -> ASGIApp:
    """One chat completion, streamed or whole, as `/v1/chat/completions`, for a session."""

    async def who() -> Principal:
        return _asks(await request.known_again())

    return await answer(request, "/v1/chat/completions", who)


def _asks(principal: Principal) -> Principal:
    """Somebody who is logged in, and may ask models here.

    Raises:
        PermissionDenied: it is a key. One that may read an account must not spend.
    """
    if not is_session(principal):
        raise PermissionDenied("This is for people who are logged in. With a key, ask /v1/chat/completions.")
    return evolve(principal, scopes=principal.scopes | {Scope.INFERENCE})
