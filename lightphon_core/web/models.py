"""GET /v1/models and /v1/models/{id}: what is on offer now, to whoever asks."""

from __future__ import annotations

from litestar import Request, get
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from lightphon_core.errors import ModelNotFound
from lightphon_core.serving.gateway import Gateway, came_through
from lightphon_core.settings import Settings
from lightphon_core.types import Scope
from lightphon_core.web.authentication import authenticate, came_via, credentials_of, principal_of, require
from lightphon_core.web.model_list import Allowed, ModelList
from lightphon_core.web.openapi import GUARDED, KEY, KEY_OR_NONE
from lightphon_core.web.operations import ModelObject, ModelObjects, OneModel, answers
from lightphon_core.web.paths import with_prefixes

Asked = Request[None, None, State]


@get(
    with_prefixes("/models"),
    name="list_models",
    tags=["models"],
    security=KEY_OR_NONE,
    responses=answers(ModelObjects, *GUARDED),
)
async def list_models(request: Asked) -> ASGIApp:
    """Every model on offer that the key may use, `auto` first. Where `open_models` is set, no key sees all of them."""
    allowed, via = await _shown_to(request)
    return _json(_models(request).all_of(allowed, via))


@get(
    with_prefixes("/models/{model_id:path}"),
    name="get_model",
    tags=["models"],
    operation_class=OneModel,
    security=KEY,
    responses=answers(ModelObject, *GUARDED, 404),
)
async def get_model(request: Asked) -> ASGIApp:
    """One model. Ids contain slashes, so the rest of the path is the id."""
    principal = await authenticate(_gateway(request).authenticators, credentials_of(request))
    require(principal, Scope.INFERENCE)
    name = str(request.path_params["model_id"]).removeprefix("/")
    entry = _models(request).one(name, principal.models, came_through(principal, came_via(request)))
    if entry is None:
        raise ModelNotFound(
            f"The model {name[:200]!r} is not on offer. GET /v1/models lists those that are.", param="model"
        )
    return _json(entry)


async def _shown_to(request: Asked) -> tuple[Allowed, frozenset[str]]:
    """The models that whoever asks may see, and the gateways that the request came through."""
    credentials = credentials_of(request)
    settings: Settings = request.app.state.settings
    authenticators = _gateway(request).authenticators
    if settings.server.open_models and credentials.are_none:
        principal = await principal_of(authenticators, credentials)  # a plugin's may know them by something else
        if principal is None:
            return None, came_via(request)
    else:
        principal = await authenticate(authenticators, credentials)
    require(principal, Scope.INFERENCE)
    return principal.models, came_through(principal, came_via(request))


def _gateway(request: Asked) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _models(request: Asked) -> ModelList:
    models: ModelList = request.app.state.models
    return models


def _json(body: bytes) -> ASGIResponse:
    return ASGIResponse(body=body, media_type="application/json")
