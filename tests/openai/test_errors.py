import json

import pytest

from lightphon_core import errors
from lightphon_core.openai.chunks import Envelope
from lightphon_core.openai.errors import error_body, error_chunk

CASES = [
    (errors.InvalidRequest("m", param="messages"), "invalid_request_error", "messages", None),
    (errors.BodyTooLarge("m"), "invalid_request_error", None, "request_too_large"),
    (
        errors.ContextLengthExceeded("m", param="messages"),
        "invalid_request_error",
        "messages",
        "context_length_exceeded",
    ),
    (errors.Unauthenticated("m"), "invalid_request_error", None, "invalid_api_key"),
    (errors.PermissionDenied("m"), "permission_error", None, "permission_denied"),
    (errors.ModelNotFound("m", param="model"), "invalid_request_error", "model", "model_not_found"),
    (errors.ModelNotAvailable("m"), "invalid_request_error", None, "model_not_available"),
    (errors.Refused("m", param="tools", code="c"), "invalid_request_error", "tools", "c"),
    (errors.NoNodesAvailable("m", retry_after=1), "server_error", None, "no_nodes_available"),
    (errors.RateLimited("m", retry_after=1), "rate_limit_error", None, "rate_limit_exceeded"),
    (errors.StorageUnavailable("m", retry_after=1), "server_error", None, "storage_unavailable"),
    (errors.Overloaded("m"), "server_error", None, "no_nodes_available"),
    (errors.Unavailable("m"), "server_error", None, "no_nodes_available"),
    (errors.TimedOut("m"), "server_error", None, "inference_timeout"),
]


@pytest.mark.parametrize(("error", "kind", "param", "code"), CASES)
def test_an_error_in_openais_shape(
    error: errors.LightPhonError, kind: str, param: str | None, code: str | None
) -> None:
    expected = {"message": "m", "type": kind, "param": param, "code": code}
    assert json.loads(error_body(error)) == {"error": expected}
    event = error_chunk(error, Envelope(id="i", model="x", created=5))
    assert event.startswith(b"data: ")
    assert event.endswith(b"}\n\n")
    assert json.loads(event[6:]) == {
        "id": "i",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "x",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}],
        "error": expected,
    }


def test_what_is_the_operators_to_mend_is_not_told() -> None:
    body = json.loads(error_body(errors.SettingsError("/etc/secret path")))
    assert body["error"]["code"] == "internal_error"
    assert "secret" not in body["error"]["message"]
