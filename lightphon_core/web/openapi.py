"""What /schema says beyond what handlers say by their types: errors, security, and the document as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import MediaType, Request, Router
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Schema, SecurityRequirement, SecurityScheme, Server

from lightphon_core.accounts.sessions import COOKIE, SECURE_COOKIE
from lightphon_core.openai.route import Route, RouteQuery
from lightphon_core.settings import ServerSettings
from lightphon_core.web.openapi_document import TAGS, finished, operation_id, structs_of

PATHS = ("/schema", "/schema/openapi.json")

SESSION_OR_KEY: list[SecurityRequirement] = [{"session": []}, {"key": []}]
SESSION: list[SecurityRequirement] = [{"session": []}]
KEY: list[SecurityRequirement] = [{"key": []}]
KEY_OR_NONE: list[SecurityRequirement] = [{"key": []}, {}]
"""Where a setting decides whether a key is needed."""

GUARDED = (401, 403, 429)
"""How a route refuses whoever it does not know, or does not trust with this; and bad keys when there are too many."""
TAKES_BODY = (408, 413)


class ErrorFields(msgspec.Struct, frozen=True):
    """`param` is the path of the field at fault, `code` a word for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct, frozen=True):
    """Every answer that is none, in OpenAI's shape."""

    error: ErrorFields


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """How an operation may fail: these statuses, and what every one may: 400 and 503."""
    return {
        status: ResponseSpec(Error, generate_examples=False, description=HTTPStatus(status).phrase)
        for status in sorted({400, 503, *statuses})
    }


class _Document(JsonRenderPlugin):
    """The document as JSON alone, at /schema too: no page that would load its scripts from elsewhere."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        super().__init__(media_type=MediaType.JSON)
        self._extra = {name: schema.to_schema() for name, schema in schemas.items()}
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Made once: no route is added to a server that runs."""
        if self._rendered is None:
            kinds = [*structs_of("lightphon_core.web."), Route, RouteQuery]
            self._rendered = super().render(request, finished(openapi_schema, kinds, self._extra))
        return self._rendered


def openapi_config(version: str, server: ServerSettings, schemas: Mapping[str, Schema]) -> OpenAPIConfig:
    """The document at /schema. `schemas` are those that handlers refer to by name alone."""
    return OpenAPIConfig(
        title="LightPhon",
        version=version,
        description="A self-hosted, OpenAI-compatible AI gateway with a prepaid wallet. Amounts are whole millisatoshi"
        " (msat), times are seconds since 1970, UTC.",
        servers=[Server(server.public_url or "/")],
        tags=list(TAGS),
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
        render_plugins=[_Document(schemas)],
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, before_request=_known_path),
        components=Components(
            security_schemes={
                "session": SecurityScheme(
                    type="apiKey",
                    security_scheme_in="cookie",
                    name=SECURE_COOKIE if server.behind_https else COOKIE,
                    description="Set by POST /api/account/login. What changes something needs our own Origin besides.",
                ),
                "key": SecurityScheme(type="http", scheme="bearer", description="An API key: lp_..."),
                "metrics": SecurityScheme(type="http", scheme="bearer", description="`metrics_token` of [server]."),
            }
        ),
    )


async def _known_path(request: Request[None, None, State]) -> None:
    """Litestar would answer with a page of its own."""
    if request.scope["path"].rstrip("/") not in PATHS:
        raise NotFoundException
