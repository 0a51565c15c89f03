"""One event of a backend's stream, checked, and written again under the gateway's own name.

Nothing of a backend's bytes reaches a client: the event is decoded once, its `choices` are checked as decoded and
encoded anew, so that what was checked is what is sent, whatever line breaks, repeated keys or odd escapes the original
held. Its id, model, created, usage, error, timings and the like are left behind.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import field, frozen

from lightphon_core.openai.choices import BadChunk
from lightphon_core.openai.forms import CHAT, Form
from lightphon_core.types import Usage

__all__ = [
    "BadChunk",
    "Chunk",
    "Done",
    "Envelope",
    "UpstreamError",
    "claimed_usage",
    "extras",
    "read",
    "upstream_error",
    "usage_fields",
    "write",
]

_MAX_TOKENS = 2**53


class Chunk(msgspec.Struct, frozen=True):
    """A checked event. A struct of msgspec's, because one is built for every token.

    `choices` and `encoded` are the same thing, decoded and as JSON without line breaks; `choices` is empty where the
    event carried only usage, or nothing. `has_output`: it carries some of the answer, and not only a role or a finish
    reason. `text_bytes`: UTF-8 bytes of that output, tool calls included. `finish_reasons`: by the index of the choice.
    `usage`: what the backend claims.
    """

    choices: list[dict[str, Any]]
    encoded: bytes
    has_output: bool
    text_bytes: int
    finish_reasons: dict[int, str]
    usage: Usage | None

    def __repr__(self) -> str:
        return f"Chunk({len(self.encoded)} bytes, has_output={self.has_output}, finish_reasons={self.finish_reasons})"


@frozen
class UpstreamError:
    """The backend said, in its stream, that it failed. Its text is for nobody.

    `status`: the HTTP status it gave, if any; `kind`: its own word for the error, if it is one word.
    """

    status: int | None = None
    kind: str | None = None


@frozen
class Done:
    """The backend's "[DONE]"."""


@frozen
class Envelope:
    """Whose answer it is, and of what form: the same on every chunk. `created` is in seconds since 1970."""

    id: str
    model: str
    created: int
    form: Form = CHAT
    prefix: bytes = field(init=False, repr=False)
    """An event's bytes up to its choices."""

    def __attrs_post_init__(self) -> None:
        head = {"id": self.id, "object": self.form.chunk, "created": self.created, "model": self.model}
        object.__setattr__(self, "prefix", b"data: " + msgspec.json.encode(head)[:-1] + b',"choices":')


class _Event(msgspec.Struct):
    choices: list[dict[str, Any]] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode


def read(
    payload: bytes, *, form: Form = CHAT, tools: frozenset[str] = frozenset(), n: int = 1, limit: int = 1_048_576
) -> Chunk | UpstreamError | Done:
    """Read the payload of one event of an answer of this form.

    `tools` are the functions that the request offered, `n` the number of choices it asked for, and `limit` the most
    bytes that an event may have.

    Raises:
        BadChunk: Not one JSON object, too large, `choices` of a wrong shape, an index outside 0..n-1, a call of a
            function that was not offered, or an unknown finish reason.
    """
    if len(payload) > limit:
        raise BadChunk("The event is too large.")
    if payload.startswith(b"[DONE]") and payload.strip() == b"[DONE]":
        return Done()
    problem = False
    try:
        event = _decode(payload)
        choices = event.choices
        encoded = _encode(choices)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
        problem = True
    if problem:  # raised out here, so that no exception with the bytes in it hangs on to this one
        raise BadChunk("The event is not one JSON object with choices.")
    if event.error or (choices is None and event.error is not None):
        return upstream_error(event.error)
    if choices is None:
        if event.usage is None:
            raise BadChunk("The event has no choices.")
        choices = []
        encoded = b"[]"
    text_bytes = 0
    has_output = False
    changed = False
    finish_reasons: dict[int, str] = {}
    for choice in choices:
        if choice.get("finish_reason") == "error":
            return UpstreamError()
        size, carries, mended = form.check(choice, n, tools)
        text_bytes += size
        has_output |= carries
        changed |= mended
        if (reason := choice.get("finish_reason")) is not None:
            finish_reasons[choice["index"]] = reason
    if changed:
        encoded = _encode(choices)
    usage = None if event.usage is None else claimed_usage(event.usage)
    return Chunk(choices, encoded, has_output, text_bytes, finish_reasons, usage)


def write(
    choices: bytes,
    envelope: Envelope,
    *,
    usage: Mapping[str, object] | None = None,
    routing_info: Mapping[str, object] | None = None,
) -> bytes:
    """One event for the client: `choices` is the JSON of `Chunk.encoded`, or `b"[]"`."""
    if usage is None and routing_info is None:
        return b"".join((envelope.prefix, choices, b"}\n\n"))
    return b"".join((envelope.prefix, choices, extras(usage, routing_info), b"}\n\n"))


def extras(usage: Mapping[str, object] | None, routing_info: Mapping[str, object] | None) -> bytes:
    """The members that end an answer, each with the comma before it."""
    parts = []
    if usage is not None:
        parts.append(b',"usage":' + _encode(usage))
    if routing_info is not None:
        parts.append(b',"routing_info":' + _encode(routing_info))
    return b"".join(parts)


def usage_fields(usage: Usage) -> dict[str, object]:
    """Usage as OpenAI writes it; the caller may add to it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def claimed_usage(claimed: object) -> Usage | None:
    """Usage that makes sense, or None: what a backend claims is only ever a hint."""
    if type(claimed) is not dict:
        return None
    prompt, completion = claimed.get("prompt_tokens"), claimed.get("completion_tokens", 0)
    if type(prompt) is not int or type(completion) is not int:
        return None
    if not (0 <= prompt <= _MAX_TOKENS and 0 <= completion <= _MAX_TOKENS):
        return None
    if not prompt and not completion:  # nobody counted: every prompt has tokens
        return None
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def upstream_error(error: object) -> UpstreamError:
    """What the `error` of a backend's answer says."""
    if type(error) is not dict:
        return UpstreamError()
    code, kind = error.get("code"), error.get("type")
    status = code if type(code) is int and 400 <= code <= 599 else None
    return UpstreamError(status, kind if type(kind) is str and re.fullmatch(r"\w{1,64}", kind, re.ASCII) else None)
