"""What a node lets through to an engine, whoever the server is: JSON it has read itself, and nothing to be fetched.

Engines fetch what a request points to: llama.cpp's server an image's http URL, others files too. They run in the
operator's own network, so a stranger could reach what is meant for nobody outside. Images and sound travel as data.
"""

import json
import re
from typing import Any

from lightphon_backend_gguf.protocol.messages import JobFailed

MEMBERS = {
    "text": ("type", "text"),
    "refusal": ("type", "refusal"),
    "image_url": ("type", "image_url"),
    "input_audio": ("type", "input_audio"),
}
"""The types of content parts, and what is kept of each. Others (files, the Responses API's `input_image`) may name what
lies elsewhere, and are refused."""

_IMAGE = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/]*={0,2}")


def guarded(body: bytes) -> bytes:
    """The body to post: encoded anew, so that what was checked is what the engine reads. JobFailed ("refused") if it is
    no JSON object, or if a message holds what an engine might fetch or open."""
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
    return json.dumps(request, separators=(",", ":")).encode()


def _message(message: Any) -> dict[str, Any]:
    content = message.get("content") if isinstance(message, dict) else message
    if not isinstance(message, dict) or not isinstance(content, str | list | None):
        raise _refused("A message is malformed.", "messages")
    return {**message, "content": [_part(part) for part in content]} if isinstance(content, list) else message


def _part(part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in MEMBERS:
        raise _refused("Nodes take messages of text, images and sound, each in OpenAI's form.", "messages")
    value = part.get(kind)
    if kind == "image_url" and not _is_image(value):
        raise _refused("Nodes fetch nothing: send images as data: URIs (base64).", "messages")
    if kind == "input_audio" and not _is_sound(value):
        raise _refused("Sound must come as base64 data.", "messages")
    if kind in ("text", "refusal") and not isinstance(value, str):
        raise _refused("A text is not one.", "messages")
    return {member: part[member] for member in MEMBERS[kind]}


def _is_image(value: Any) -> bool:
    url = value.get("url") if isinstance(value, dict) and value.keys() <= {"url", "detail"} else None
    return isinstance(url, str) and _IMAGE.fullmatch(url) is not None


def _is_sound(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"data", "format"}
        and all(isinstance(each, str) for each in value.values())
    )


def _no_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _refused(message: str, param: str | None = None) -> JobFailed:
    return JobFailed("refused", message, param=param)
