"""What no engine gets, whoever the server is: what is not JSON that the node has read itself, and what it might fetch.

Engines fetch what a request points to: llama.cpp's server an image's http URL, others files too. They run in the
operator's own network, so a stranger could reach what is meant for nobody outside. Images travel as data. What the one
engine can do besides is in `dialect`.
"""

import json
import re
from typing import Any, NewType

from lightphon_backend_gguf.protocol.messages import JobFailed

Guarded = NewType("Guarded", dict[str, Any])
"""A request that was decoded and checked here."""

MEMBERS = frozenset(
    {
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "function_call",
        "refusal",
        "reasoning",
        "reasoning_content",
    }
)
"""What a message may have, and templates know what to do with; the rest is dropped, such as Ollama's `images`."""

PARTS = ("text", "refusal", "image_url")
"""The types of content parts, each of which has its content in a member of the same name; other members are dropped.
Other types (files, the Responses API's `input_image`) may name what lies elsewhere, and are refused; sound is, because
no engine takes it."""

_IMAGE = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/]*={0,2}")


def guarded(body: bytes) -> Guarded:
    """The request in a body; of a repeated member, the last. JobFailed ("refused") if it is no JSON object, if a
    message holds what an engine might fetch or open, or if what else is to be read is no text."""
    try:
        request = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _refused("The request is not JSON.") from None
    if not isinstance(request, dict):
        raise _refused("The request is not a JSON object.")
    messages = request.get("messages")
    if messages is not None:
        if not isinstance(messages, list):
            raise _refused("The messages are not a list.", "messages")
        request["messages"] = [_message(message) for message in messages]
    for name in ("prompt", "input"):
        value = request.get(name)
        if not (value is None or isinstance(value, str) or _is_texts(value)):
            # Token ids could be any tokens; objects name pictures and sounds.
            raise _refused(f"'{name}' is neither a text nor a list of texts.", name)
    if not isinstance(request.get("suffix"), str | None):
        raise _refused("'suffix' is not a text.", "suffix")
    return Guarded(request)


def texts(request: Guarded, name: str) -> list[str]:
    """What a request has under "prompt" or "input", as a list; empty where it has nothing."""
    value = request.get(name)
    return [value] if isinstance(value, str) else value or []


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _message(message: Any) -> dict[str, Any]:
    content = message.get("content") if isinstance(message, dict) else message
    if not isinstance(message, dict) or not isinstance(content, str | list | None):
        raise _refused("A message is malformed.", "messages")
    kept = {name: value for name, value in message.items() if name in MEMBERS}
    return {**kept, "content": [_part(part) for part in content]} if isinstance(content, list) else kept


def _part(part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in PARTS:
        raise _refused("Nodes take messages of text and images, each in OpenAI's form.", "messages")
    value = part.get(kind)
    if kind == "image_url" and not _is_image(value):
        raise _refused("Nodes fetch nothing: send images as data: URIs (base64).", "messages")
    if kind != "image_url" and not isinstance(value, str):
        raise _refused("A text is not one.", "messages")
    return {"type": kind, kind: value}


def _is_image(value: Any) -> bool:
    url = value.get("url") if isinstance(value, dict) and value.keys() <= {"url", "detail"} else None
    return isinstance(url, str) and _IMAGE.fullmatch(url) is not None


def _no_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _refused(message: str, param: str | None = None) -> JobFailed:
    return JobFailed("refused", message, param=param)
