"""Errors in OpenAI's shape: as a body, and in the middle of a stream. The HTTP status is not this module's business."""

import msgspec

from lightphon_core.errors import (
    BackendError,
    LightPhonError,
    PermissionDenied,
    RateLimited,
    Refused,
    RequestError,
    TemporaryError,
    TimedOut,
)
from lightphon_core.openai.chunks import Envelope


def error_fields(error: LightPhonError) -> dict[str, str | None]:
    """`message`, `type`, `param` and `code`.

    What is the operator's to mend is not told to clients: it may name paths or addresses.
    """
    match error:
        case RequestError() | Refused():
            kind = "permission_error" if isinstance(error, PermissionDenied) else "invalid_request_error"
            return _fields(error.message, kind, error.param, error.code)
        case RateLimited():
            return _fields(error.message, "rate_limit_error", None, error.code)
        case TemporaryError():
            return _fields(error.message, "server_error", None, error.code)
        case TimedOut():
            return _fields(error.message, "server_error", None, "inference_timeout")
        case BackendError():
            return _fields(error.message, "server_error", None, "no_nodes_available")
        case _:
            return _fields("The server could not handle the request.", "server_error", None, "internal_error")


def error_body(error: LightPhonError) -> bytes:
    """The JSON body of an answer that is an error."""
    return msgspec.json.encode({"error": error_fields(error)})


def error_chunk(error: LightPhonError, envelope: Envelope) -> bytes:
    """The event that ends a stream which has failed after its first output. No "[DONE]" follows it."""
    choices = msgspec.json.encode([{"index": 0, **envelope.form.nothing, "finish_reason": "error"}])
    return b"".join((envelope.prefix, choices, b',"error":', msgspec.json.encode(error_fields(error)), b"}\n\n"))


def _fields(message: str, kind: str, param: str | None, code: str | None) -> dict[str, str | None]:
    return {"message": message, "type": kind, "param": param, "code": code}
