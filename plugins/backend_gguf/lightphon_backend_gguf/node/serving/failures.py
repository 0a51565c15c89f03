"""What it means that an engine does not take a request, by the status and the body of its answer. Pure.

No part of the request reaches a message: engines quote prompts in theirs.
"""

import json
from typing import Any

from lightphon_backend_gguf.protocol.messages import JobFailed

_MAX_MESSAGE = 300
_QUOTED = 16
"""A run of this many characters that stands in both message and request is taken for a quotation of the prompt."""

_REFUSALS = (400, 404, 413, 415, 422, 501)
"""Statuses that blame the request. llama.cpp answers some such faults with 500; those are told by their text."""

UNREADABLE = "An image cannot be read: it is damaged, or this model's engine does not take its kind. Send PNG or JPEG."

READ = {"/v1/completions": "prompt", "/v1/embeddings": "input"}
"""The parameter that a model reads, by path; elsewhere it is "messages"."""


def failure(
    status: int, answer: bytes, request: bytes, retry_after: str | None = None, *, param: str = "messages"
) -> JobFailed:
    """What an engine's status and error body mean.

    `request` is the body that was sent, to find quotations of it; `retry_after` is the header of that name. `param` is
    the parameter that the model was to read.
    """
    error = _error_object(answer)
    message = str(error.get("message") or "")
    if (
        error.get("type") == "exceed_context_size_error"
        or error.get("code") == "context_length_exceeded"
        or "too large to process" in message
        or "maximum context length" in message
    ):
        return JobFailed("refused", _too_long(error, param), param=param, code="context_length_exceeded")
    if status in (429, 503):
        return JobFailed("overloaded", "The engine is busy.", retry_after=_seconds(retry_after))
    if "input is not supported" in message:
        return JobFailed("refused", "This model takes text only.", param=param)
    if "Failed to load image" in message:
        return JobFailed("refused", UNREADABLE, param=param)
    if status in _REFUSALS or "Failed to parse" in message:
        return JobFailed("refused", _presentable(message, request))
    return JobFailed("unavailable", f"The engine failed with status {status}.")


def _error_object(answer: bytes) -> dict[str, Any]:
    """The `error` of an OpenAI error body, as an object; empty if the body is not one."""
    try:
        error = json.loads(answer)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return error if isinstance(error, dict) else {"message": error}


def _too_long(error: dict[str, Any], param: str) -> str:
    if param == "input":
        return "A text of the input is longer than this model's context."
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    if isinstance(prompt, int) and isinstance(context, int):
        return f"The prompt is {prompt} tokens long; this model takes {context}, prompt and answer together."
    return "The prompt is longer than this model's context."


def _presentable(message: str, request: bytes) -> str:
    """The engine's message, on one line and of bounded length, or a general one if it quotes the request."""
    message = " ".join(message.rpartition("Jinja Exception: ")[2].split())[:_MAX_MESSAGE]
    sent = " ".join(request.decode(errors="replace").split())
    quotes = any(message[at : at + _QUOTED] in sent for at in range(len(message) - _QUOTED + 1))
    return "The engine refused the request." if quotes or not message else message


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else float(retry_after)
    except ValueError:
        return None
