"""What goes wrong, as a page for those who came with a browser; programs get JSON, as everywhere."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.types import ExceptionHandlersMap

from lightphon_core import errors
from lightphon_core.web.errors import HANDLERS, error_headers, status_of
from lightphon_core.web.pages.frame.rendering import page
from lightphon_core.web.pages.frame.visitors import LogInFirst

_TITLES = {403: "Not for this account", 404: "Nothing here", 429: "Too often", 503: "Not available at the moment"}

AnyRequest = Request[Any, Any, Any]


def wants_page(request: AnyRequest) -> bool:
    """Whether it comes from the address bar of a browser: it asks for HTML by name."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", "")


def to_log_in(_: AnyRequest, error: LogInFirst) -> Response[Any]:
    """Off to the page for that, and back afterwards."""
    return Redirect(error.url, status_code=303, headers={"cache-control": "no-store"})


def failed(request: AnyRequest, error: errors.LightPhonError) -> Response[Any]:
    """An error of ours on the way to a page."""
    if not wants_page(request):
        return _as_json(request, error)
    status = status_of(error)
    answer = page(
        request, "error.html", None, status=status, title=_TITLES.get(status, "That did not work"), said=error.message
    )
    answer.headers |= error_headers(error)
    return answer


def nothing_there(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """An unknown path is a page for a browser; all else is JSON."""
    if error.status_code == 404 and wants_page(request) and not request.scope["path"].startswith(("/api/", "/v1/")):
        said = "There is no page at this address."
        return page(request, "error.html", None, status=404, title=_TITLES[404], said=said)
    return _as_json(request, error)


def _as_json(request: AnyRequest, error: Exception) -> Response[Any]:
    handle: Any = next(HANDLERS[base] for base in type(error).__mro__ if base in HANDLERS)
    answer: Response[Any] = handle(request, error)
    return answer


PAGE_HANDLERS: ExceptionHandlersMap = {LogInFirst: to_log_in, errors.LightPhonError: failed}
"""For the routes of pages."""
EVERYWHERE: ExceptionHandlersMap = {**HANDLERS, HTTPException: nothing_there}
"""For the application."""
