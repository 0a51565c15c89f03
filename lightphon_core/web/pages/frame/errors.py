"""What goes wrong, as a page for those who came with a browser; programs get JSON, as everywhere."""

from __future__ import annotations

import json
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.types import ExceptionHandlersMap

from lightphon_core.web.errors import HANDLERS
from lightphon_core.web.pages.frame.rendering import page
from lightphon_core.web.pages.frame.visitors import LogInFirst, seen

NOT_PAGES = ("/api/", "/v1/")
_TITLE = "That did not work"
_TITLES = {
    403: "Not for this account",
    404: "Nothing here",
    405: "Sent too early",
    429: "Too often",
    503: "Not available at the moment",
}

_SAID = {
    404: "There is no page at this address.",
    405: "A form was sent before its page was ready. Go back, and send it again: nothing was changed.",
}
"""Of Litestar's own errors. Forms are sent by scripts; a browser does it by itself only until they are there."""

AnyRequest = Request[Any, Any, Any]


def wants_page(request: AnyRequest) -> bool:
    """Whether a browser shows what is answered: it asks for HTML by name, as scripts and programs do not."""
    return "text/html" in request.headers.get("accept", "")


def to_log_in(_: AnyRequest, error: LogInFirst) -> Response[Any]:
    """Off to the page for that, and back afterwards."""
    return Redirect(error.url, status_code=303, headers={"cache-control": "no-store"})


def failed(request: AnyRequest, error: Exception) -> Response[Any]:
    """What went wrong, in words for a browser. Requests to the API, and those of programs, get JSON."""
    answer = _as_json(request, error)
    if not wants_page(request) or request.scope["path"].startswith(NOT_PAGES):
        return answer
    status = answer.status_code or 500
    said = _SAID.get(status) if isinstance(error, HTTPException) else None
    said = said or json.loads(answer.content)["error"]["message"]
    shown = page(request, "error.html", seen(request), status=status, title=_TITLES.get(status, _TITLE), said=said)
    shown.headers |= {name: value for name, value in answer.headers.items() if name != "content-type"}
    return shown


def _as_json(request: AnyRequest, error: Exception) -> Response[Any]:
    handle: Any = next(HANDLERS[base] for base in type(error).__mro__ if base in HANDLERS)
    answer: Response[Any] = handle(request, error)
    return answer


PAGE_HANDLERS: ExceptionHandlersMap = {LogInFirst: to_log_in, **dict.fromkeys(HANDLERS, failed)}
"""For the routes of pages."""
EVERYWHERE: ExceptionHandlersMap = {**HANDLERS, HTTPException: failed}
"""For the application, which alone sees unknown paths."""
