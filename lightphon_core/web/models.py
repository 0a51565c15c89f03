"""GET /v1/models and /v1/models/{id}: what is on offer now."""

from __future__ import annotations

import msgspec
from litestar import Request, get
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from lightphon_core.errors import ModelNotFound
from lightphon_core.openai.models import auto_entry, model_entry, model_list
from lightphon_core.openai.request import AUTO
from lightphon_core.serving.gateway import Gateway
from lightphon_core.types import Scope
from lightphon_core.web.authentication import authenticate, credentials_of, require
from lightphon_core.web.paths import with_prefixes


@get(with_prefixes("/models"), name="list_models")
async def list_models(request: Request[None, None, State]) -> ASGIApp:
    """Every model on offer, `auto` first."""
    gateway = await _allowed(request)
    return _json(model_list(gateway.catalogue.models(), gateway.started_at))


@get(with_prefixes("/models/{model_id:path}"), name="get_model")
async def get_model(request: Request[None, None, State]) -> ASGIApp:
    """One model. Ids contain slashes, so the rest of the path is the id."""
    gateway = await _allowed(request)
    name = str(request.path_params["model_id"]).removeprefix("/")
    if name == AUTO:
        return _json(auto_entry(gateway.catalogue.models(), gateway.started_at))
    for listed in gateway.catalogue.models():
        if listed.model.id == name:
            return _json(model_entry(listed))
    raise ModelNotFound(
        f"The model {name[:200]!r} is not on offer. GET /v1/models lists those that are.", param="model"
    )


async def _allowed(request: Request[None, None, State]) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    require(await authenticate(gateway.authenticators, credentials_of(request)), Scope.INFERENCE)
    return gateway


def _json(content: object) -> ASGIResponse:
    return ASGIResponse(body=msgspec.json.encode(content), media_type="application/json")
