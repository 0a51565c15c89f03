"""What no engine gets, whoever the server is: what is not JSON that the node has read itself, and what it might fetch.

Engines fetch what a request points to: llama.cpp's server an image's http URL, others files too. They run in the
operator's own network, so a stranger could reach what is meant for nobody outside. Images travel as data, and
their first bytes have to be an image's (`pictures`). What the one engine can do besides is in `dialect`.
"""

import binascii
import json
import re
from typing import Any, NewType

from attrs import define

from lightphon_backend_gguf.node.pictures import KINDS, pixels
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

MAX_PIXELS = 100_000_000
"""Of all images of a request together: an engine has them in memory at once, at three bytes a pixel or more."""

MAX_IMAGES = 64
"""In a request. Each is worth hundreds of tokens, and megabytes before they are counted."""

TEXTS = ("prompt", "input")
"""Where these are there, they are a text or several. llama.cpp knows tokens and objects with media as well."""

_IMAGE = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,([A-Za-z0-9+/]*)={0,2}")


def guarded(body: bytes) -> Guarded:
    """The request in a body; of a repeated member, the last. JobFailed ("refused") if it is no JSON object, if a
    message holds what an engine might fetch or open, or if what else is to be read is no text."""
    try:
        request = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _refused("The request is not JSON.") from None
    if not isinstance(request, dict):
        raise _refused("The request is not a JSON object.")
    for name in TEXTS:
        value = request.get(name)
        if not (value is None or isinstance(value, str) or _is_texts(value)):
            raise _refused(f"'{name}' is no text, and no list of texts.", name)
    if not isinstance(request.get("suffix"), str | None):
        raise _refused("'suffix' is no text.", "suffix")
    messages = request.get("messages")
    if messages is not None:
        if not isinstance(messages, list):
            raise _refused("The messages are not a list.", "messages")
        images = _Images()
        request["messages"] = [_message(message, images) for message in messages]
    return Guarded(request)


def texts(request: Guarded, name: str) -> list[str]:
    """What a request has under "prompt" or "input", as a list; empty where it has nothing."""
    value = request.get(name)
    return [value] if isinstance(value, str) else value or []


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


@define
class _Images:
    """Counts the images of a request."""

    count: int = 0
    pixels: int = 0

    def add(self, url: str) -> None:
        """JobFailed ("refused") for what is no image as data, and for the one that is too much."""
        data = _IMAGE.fullmatch(url)
        if data is None:
            raise _refused("Nodes fetch nothing: send images as data: URIs (base64).", "messages")
        found = pixels(_decoded(data[1]))
        if found is None:
            raise _refused(f"An image is none, or is damaged. Nodes take {KINDS}.", "messages")
        self.count += 1
        self.pixels += found
        if self.count > MAX_IMAGES:
            raise _refused(f"A request may have {MAX_IMAGES} images. Send fewer.", "messages")
        if self.pixels > MAX_PIXELS:
            most = MAX_PIXELS // 1_000_000
            raise _refused(f"The images have more than {most} million pixels together. Send smaller ones.", "messages")


def _decoded(data: str) -> bytes:
    """Base64, with its padding or without; nothing where it is cut off."""
    try:
        return binascii.a2b_base64(data + "=" * (-len(data) % 4))
    except binascii.Error:
        return b""


def _message(message: Any, images: _Images) -> dict[str, Any]:
    content = message.get("content") if isinstance(message, dict) else message
    if not isinstance(message, dict) or not isinstance(content, str | list | None):
        raise _refused("A message is malformed.", "messages")
    kept = {name: value for name, value in message.items() if name in MEMBERS}
    return {**kept, "content": [_part(part, images) for part in content]} if isinstance(content, list) else kept


def _part(part: Any, images: _Images) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in PARTS:
        raise _refused("Nodes take messages of text and images, each in OpenAI's form.", "messages")
    value = part.get(kind)
    if kind == "image_url":
        images.add(_url(value))
    elif not isinstance(value, str):
        raise _refused("A text is not one.", "messages")
    return {"type": kind, kind: value}


def _url(value: Any) -> str:
    """The address of an image; nothing where it is malformed."""
    url = value.get("url") if isinstance(value, dict) and value.keys() <= {"url", "detail"} else None
    return url if isinstance(url, str) else ""


def _no_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _refused(message: str, param: str | None = None) -> JobFailed:
    return JobFailed("refused", message, param=param)
