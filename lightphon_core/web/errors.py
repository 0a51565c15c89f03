"""How each error looks over HTTP: its status, its headers, and OpenAI's body."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from litestar import Request, Response
from litestar.enums import ParamType, ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from lightphon_core import errors
from lightphon_core.openai.body import explained
from lightphon_core.openai.errors import error_body
from lightphon_core.openai.ratelimits import rate_limit_headers
from lightphon_core.web.deposit_advice import with_advice
from lightphon_core.web.edge.access_log import shown_path
from lightphon_core.web.unknown_urls import instead_of, wrong_method

if TYPE_CHECKING:
    from litestar.types import Scope, Send

LIMITS = "limit_headers"
"""In a request's state: the headers of its limits, once it was counted. Its answer has them, whatever that is: a client
that keeps count of them would be wrong by each request that failed."""

STATUS: dict[type[errors.LightPhonError], int] = {
    errors.BodyTooLarge: 413,
    errors.BodyTooSlow: 408,
    errors.NotFound: 404,
    errors.InvalidRequest: 400,
    errors.Unauthenticated: 401,
    errors.InsufficientBalance: 402,
    errors.PermissionDenied: 403,
    errors.ModelNotFound: 404,
    errors.ModelNotAvailable: 404,
    errors.RequestError: 400,
    errors.BalanceOnHold: 429,
    errors.RateLimited: 429,
    errors.TemporaryError: 503,
    errors.Refused: 400,
    errors.TimedOut: 504,
    errors.BackendError: 503,
    errors.LightPhonError: 500,
}
"""The status of each class; a class that is not named takes that of its nearest base."""


_MISSING = re.compile(r"Missing required \w+ parameter '([^']+)'")
"""How Litestar says so; the path that follows is known to whoever asked."""


class RouteNotFound(errors.RequestError):
    """No such path, or no such method on it."""

    code = "unknown_url"


class InternalError(errors.LightPhonError):
    """A fault of ours. The log has the traceback; the client gets the request's id."""


def status_of(error: errors.LightPhonError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[base] for base in type(error).__mro__ if base in STATUS)


def error_headers(error: errors.LightPhonError) -> dict[str, str]:
    """The headers that an error brings along, by their names in small letters."""
    headers: dict[str, str] = {}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(retry_after)))
    if isinstance(error, errors.RateLimited):
        headers |= rate_limit_headers(error.standings)
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, errors.TimedOut):
        # SDKs retry a 504 by themselves; a second node would only be kept busy as long as the first.
        headers["x-should-retry"] = "false"
    if isinstance(error, errors.BodyTooSlow):
        headers["connection"] = "close"  # or the rest of the body could go on trickling in
    return headers


def error_response(error: errors.LightPhonError, *, status: int | None = None) -> Response[bytes]:
    """The whole answer to a request that failed before its answer began."""
    return Response(
        error_body(error),
        status_code=status or status_of(error),
        headers=error_headers(error),
        media_type="application/json",
    )


async def send_error(scope: Scope, send: Send, error: errors.LightPhonError) -> None:
    """The same for what is no route: it answers a request, or a WebSocket that was not accepted yet."""
    kind = "http.response" if scope["type"] == ScopeType.HTTP else "websocket.http.response"
    body = error_body(error)
    headers = {**error_headers(error), "content-type": "application/json", "content-length": str(len(body))}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    start: Any = {"type": f"{kind}.start", "status": status_of(error), "headers": encoded}
    rest: Any = {"type": f"{kind}.body", "body": body, "more_body": False}
    await send(start)
    await send(rest)


def _on_lightphon_error(request: Request[Any, Any, Any], error: errors.LightPhonError) -> Response[bytes]:
    if isinstance(error, errors.BalanceOwed) or type(error) is errors.InsufficientBalance:
        # More money is of no use to a key that is over its budget.
        error = with_advice(error, request)
    return _counted(request, error_response(error))


def _on_litestar_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Litestar's own: unknown path, wrong method, a path or query parameter of the wrong type."""
    if error.status_code in (404, 405):
        return _no_route(request, error)
    if error.status_code >= 500:
        return _on_fault(request, error)
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        problem = error.extra[0]  # its own `detail` has the whole URL, an agent's token too
        name = problem.get("key", "")
        parameters = request.route_handler.parsed_fn_signature.parameters
        kind = parameters[name].annotation if name in parameters else None
        if problem.get("source") == ParamType.HEADER:
            name = name.replace("_", "-")  # as it is sent, and not as the handler has it
        return error_response(explained(problem["message"], name, kind=kind))
    if missing := _MISSING.match(error.detail):
        return error_response(errors.InvalidRequest(f"Missing required parameter: '{missing[1]}'.", param=missing[1]))
    return error_response(errors.InvalidRequest(error.detail), status=max(error.status_code, 400))


def _no_route(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    path, allowed = shown_path(request.scope["path"]), (error.headers or {}).get("allow")
    if allowed is None:
        instead = instead_of(request.scope["path"]) or "GET /schema lists all that there are."
        return error_response(RouteNotFound(f"Unknown request URL: {request.method} {path}. {instead}"), status=404)
    response = error_response(RouteNotFound(wrong_method(request.method, path, allowed)), status=405)
    response.headers["allow"] = ", ".join(sorted(allowed.split(", ")))
    return response


def _on_fault(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    request.app.state.gateway.log.error("request failed by a fault of ours", exc_info=error)
    error = InternalError("The gateway failed to handle this request. It was not charged.")
    return _counted(request, error_response(error, status=500))


def _counted(request: Request[Any, Any, Any], response: Response[bytes]) -> Response[bytes]:
    response.headers |= request.scope["state"].get(LIMITS, {})
    return response


HANDLERS: ExceptionHandlersMap = {
    errors.LightPhonError: _on_lightphon_error,
    HTTPException: _on_litestar_error,
    Exception: _on_fault,
}
"""For the application level, which is the only one that sees Litestar's 404 and 405."""
