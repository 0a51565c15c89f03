"""GET /v1/models and /v1/models/{id}: what is on offer now, to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import Request, route
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from lightphon_core.errors import InvalidRequest, ModelNotFound
from lightphon_core.openai.models import auto_entry, model_entry, model_list
from lightphon_core.openai.selection import read_model
from lightphon_core.serving.gateway import Gateway
from lightphon_core.types import ListedModel, Scope
from lightphon_core.web.authentication import authenticate, credentials_of, require
from lightphon_core.web.openapi import GUARDED, KEY
from lightphon_core.web.operations import ModelObject, ModelObjects, OneModel, answers
from lightphon_core.web.paths import with_prefixes

Asked = Request[None, None, State]


@route(
    with_prefixes("/models"),
    http_method=["GET", "HEAD"],
    name="list_models",
    security=KEY,
    responses=answers(ModelObjects, *GUARDED),
)
async def list_models(request: Asked) -> ASGIApp:
    """Every model on offer that the key may use, `auto` first."""
    return _json(model_list(await _allowed(request), _gateway(request).started_at))


@route(
    with_prefixes("/models/{model_id:path}"),
    http_method=["GET", "HEAD"],
    name="get_model",
    operation_class=OneModel,
    security=KEY,
    responses=answers(ModelObject, *GUARDED, 404),
)
async def get_model(request: Asked) -> ASGIApp:
    """One model. Ids contain slashes, so the rest of the path is the id."""
    models = await _allowed(request)
    name = str(request.path_params["model_id"]).removeprefix("/")
    if _is_auto(name):
        return _json(auto_entry(models, _gateway(request).started_at, name))
    for listed in models:
        if listed.model.id == name:
            return _json(model_entry(listed))
    raise ModelNotFound(
        f"The model {name[:200]!r} is not on offer. GET /v1/models lists those that are.", param="model"
    )


def _is_auto(name: str) -> bool:
    """Whether the name leaves the choice to the router: "auto", and "auto:fast" and the like."""
    try:
        return read_model(name)[0] is None
    except InvalidRequest:
        return False


async def _allowed(request: Asked) -> Sequence[ListedModel]:
    gateway = _gateway(request)
    principal = await authenticate(gateway.authenticators, credentials_of(request))
    require(principal, Scope.INFERENCE)
    models = gateway.catalogue.models()
    if principal.models is None:
        return models
    return [listed for listed in models if listed.model.id in principal.models]


def _gateway(request: Asked) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _json(content: object) -> ASGIResponse:
    """To HEAD too: the server leaves the body out."""
    return ASGIResponse(body=msgspec.json.encode(content), media_type="application/json")
