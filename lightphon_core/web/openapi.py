"""What /schema says beyond what handlers say by their types: errors, security, and the document as a whole."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import MediaType, Request, Router
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityRequirement, SecurityScheme

from lightphon_core.accounts.sessions import COOKIE
from lightphon_core.openai.route import Route, RouteQuery
from lightphon_core.web.api.body import Body

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

    def __init__(self) -> None:
        super().__init__(media_type=MediaType.JSON)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Litestar does not say that unknown fields are refused."""
        schemas = openapi_schema["components"]["schemas"]
        strict: list[type[msgspec.Struct]] = [*Body.__subclasses__(), Route, RouteQuery]
        for body in strict:
            schemas[body.__name__]["additionalProperties"] = False
        return super().render(request, openapi_schema)


def openapi_config(version: str) -> OpenAPIConfig:
    """The document at /schema."""
    return OpenAPIConfig(
        title="LightPhon",
        version=version,
        description="A self-hosted, OpenAI-compatible AI gateway with a prepaid wallet. Amounts are whole millisatoshi"
        " (msat), times are seconds since 1970, UTC.",
        use_handler_docstrings=True,
        render_plugins=[_Document()],
        openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, before_request=_known_path),
        components=Components(
            security_schemes={
                "session": SecurityScheme(
                    type="apiKey",
                    security_scheme_in="cookie",
                    name=COOKIE,
                    description="Set by POST /api/account/login; with https its name begins with __Host-.",
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
