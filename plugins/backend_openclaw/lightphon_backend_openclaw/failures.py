"""What it means that a server does not take a request, by the status and the body of its answer. Pure.

Nothing of the body reaches a message: servers quote prompts, addresses and keys in theirs.
"""

import json
import math
import re
from typing import Any

from lightphon_core import BackendError, Overloaded, Refused, TimedOut, Unavailable

_MAX_RETRY_AFTER_S = 3600.0
_PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]]{0,63}", re.ASCII)
_TOO_LONG = ("maximum context length", "context_length_exceeded", "exceed_context_size")


def failure(status: int, answer: bytes, retry_after: str | None) -> BackendError:
    """The error that an answer other than 200 is to the core.

    401, 402 and 403 are the administrator's to mend, and 404 is an endpoint that is off or a model that has gone: for a
    client all of them are a server that is not there. So is 408, which OpenClaw sends when it has given up on its own
    upstream: another offer may do better.
    """
    match status:
        case 400 | 413 | 415 | 422 | 501:
            return _refused(_error_object(answer))
        case 429 | 503:
            return Overloaded("The server is busy.", retry_after=_seconds(retry_after))
        case 504:
            return TimedOut(
                "The server did not answer in time. Ask for fewer tokens (max_tokens), or try a smaller model."
            )
        case 408:
            return Unavailable("The server gave up waiting for its own upstream.")
        case 401 | 402 | 403 | 404:
            return Unavailable("The server does not serve this model at the moment.")
    return Unavailable(f"The server failed with status {status}.")


def _refused(error: dict[str, Any]) -> Refused:
    said = f"{error.get('type')} {error.get('code')} {error.get('message')}"
    if any(words in said for words in _TOO_LONG):
        return Refused(
            "The prompt is longer than this model's context.", param="messages", code="context_length_exceeded"
        )
    param = error.get("param")
    named = param if isinstance(param, str) and _PARAM.fullmatch(param) else None
    at_fault = "" if named is None else f" It does not take {named!r} as it is."
    return Refused(f"The model's server refused the request.{at_fault}", param=named)


def _error_object(answer: bytes) -> dict[str, Any]:
    """The `error` of an OpenAI error body, as an object; empty if the body is not one."""
    try:
        error = json.loads(answer)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {"message": error}


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After in seconds; None for a date, or for what makes no sense."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(seconds, _MAX_RETRY_AFTER_S) if math.isfinite(seconds) and seconds >= 0 else None
