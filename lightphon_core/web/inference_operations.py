"""What /schema says of inference: what is here is what the gateway itself looks at. Requests have whatever else
OpenAI's have."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from lightphon_core.openai.completions import MAX_PROMPTS
from lightphon_core.openai.embeddings import MAX_INPUTS
from lightphon_core.openai.route import MAX_SESSION
from lightphon_core.openai.selection import MAX_MODELS
from lightphon_core.web.openapi import GUARDED, TAKES_BODY
from lightphon_core.web.routing_headers import HEADERS

INFERENCE = (402, *GUARDED, 404, *TAKES_BODY, 504)
"""How an inference request may fail."""


def _text(**more: str | int) -> Schema:
    return Schema(type=OpenAPIType.STRING, **more)  # type: ignore[arg-type]


def _whole(minimum: int | None = None, maximum: int | None = None) -> Schema:
    return Schema(type=OpenAPIType.INTEGER, minimum=minimum, maximum=maximum)


def _list(items: Schema | Reference, **more: int) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=items, **more)  # type: ignore[arg-type]


def _object(properties: dict[str, Schema | Reference], required: list[str]) -> Schema:
    return Schema(type=OpenAPIType.OBJECT, properties=properties, required=required)


_SERVED = (
    "Who served, percent-encoded where it is no visible ASCII. Left out of a stream that began before anybody answered,"
    " and where it is long."
)


def _named(name: str) -> Reference:
    return Reference(f"#/components/schemas/{name}")


_EVENT = _object({"data": _text(description="A chunk as OpenAI's, as JSON; `[DONE]` ends the stream.")}, ["data"])
_SELECTING: dict[str, Schema | Reference] = {
    "model": _text(description="A model's id, `auto`, or `auto:` and fast, cheap, code, reasoning or free."),
    "models": _list(_text(min_length=1), max_items=MAX_MODELS),
    "route": _named("Route"),
    "session_id": _text(description="The same for requests that go on from one another.", max_length=MAX_SESSION),
}
_GENERATING: dict[str, Schema | Reference] = {
    **_SELECTING,
    "stream": Schema(type=OpenAPIType.BOOLEAN),
    "max_tokens": _whole(minimum=1),
    "n": _whole(minimum=1),
}
_MESSAGE = _object(
    {
        "role": Schema(type=OpenAPIType.STRING, enum=["system", "developer", "user", "assistant", "tool"]),
        "content": _text(description="Text, or OpenAI's list of content parts."),
    },
    ["role"],
)
_CHAT = _object({**_GENERATING, "messages": _list(_named("ChatMessage"), min_items=1)}, ["model", "messages"])
_PROMPTS = _list(_text(min_length=1), min_items=1, max_items=MAX_PROMPTS)
_COMPLETION = _object(
    {
        **_GENERATING,
        "prompt": Schema(one_of=[_text(min_length=1), _PROMPTS], description="A text, or several; no tokens."),
        "suffix": _text(description="What comes after the text that is wanted. For models that can `infill`."),
    },
    ["model", "prompt"],
)
_TEXTS = _list(_text(min_length=1), min_items=1, max_items=MAX_INPUTS)
_EMBEDDINGS = _object(
    {
        **_SELECTING,
        "input": Schema(one_of=[_text(min_length=1), _TEXTS], description="A text, or several; no tokens."),
        "encoding_format": Schema(type=OpenAPIType.STRING, enum=["float", "base64"]),
        "dimensions": _whole(minimum=1),
    },
    ["model", "input"],
)

_COUNTED: dict[str, Schema | Reference] = {
    "prompt_tokens": _whole(0),
    "total_tokens": _whole(0),
    "cost_msat": _whole(0),
    "cost": _text(description="In sats, as decimal text."),
    "cost_currency": _text(),
}
_SERVED_BY: dict[str, Schema | Reference] = {
    "model": _text(description="The id of the model that served, never `auto`."),
    "routing_info": Schema(type=OpenAPIType.OBJECT, description="Who served."),
}


def _answer(kind: str) -> Schema:
    """One whole answer of text, whose `object` is this."""
    return _object(
        {
            **_SERVED_BY,
            "id": _text(),
            "object": Schema(const=kind),
            "created": _whole(0),
            "choices": _list(Schema(type=OpenAPIType.OBJECT), min_items=1),
            "usage": _object({**_COUNTED, "completion_tokens": _whole(0)}, [*_COUNTED, "completion_tokens"]),
        },
        ["id", "object", "created", "model", "choices", "usage", "routing_info"],
    )


_NUMBERS = _list(Schema(type=OpenAPIType.NUMBER), min_items=1)
_VECTOR = _object(
    {
        "object": Schema(const="embedding"),
        "index": _whole(0),
        "embedding": Schema(one_of=[_NUMBERS, _text(description="Base64 of little-endian float32.")]),
    },
    ["object", "index", "embedding"],
)
_VECTORS = _object(
    {
        **_SERVED_BY,
        "object": Schema(const="list"),
        "data": _list(_named("Embedding")),
        "usage": _object(_COUNTED, [*_COUNTED]),
    },
    ["object", "data", "model", "usage", "routing_info"],
)

SCHEMAS = {
    name: dataclasses.replace(schema, title=name, description=description)
    for name, schema, description in (
        (
            "ChatCompletionRequest",
            _CHAT,
            "As OpenAI's, with whatever else it has; these are what the gateway looks at.",
        ),
        ("ChatMessage", _MESSAGE, "As OpenAI's."),
        ("CompletionRequest", _COMPLETION, "As OpenAI's; with a `suffix`, what belongs before it."),
        ("EmbeddingsRequest", _EMBEDDINGS, "As OpenAI's."),
        ("ChatCompletion", _answer("chat.completion"), "As OpenAI's, and what it cost and who served it."),
        ("Completion", _answer("text_completion"), "As OpenAI's, and what it cost and who served it."),
        ("Embeddings", _VECTORS, "As OpenAI's, and what it cost and who served it."),
        ("Embedding", _VECTOR, "The vector of one text."),
        ("StreamEvent", _EVENT, "A server-sent event."),
    )
}
"""By name, as the operations refer to them."""


@dataclass
class Inference(Operation):
    """`asks` and `answer` are the bodies; an answer that may be `streamed` has events instead then."""

    asks: ClassVar[Reference]
    answer: ClassVar[Reference]
    streamed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            {"application/json": OpenAPIMediaType(self.asks)}, description="As OpenAI's.", required=True
        )
        content = {"application/json": OpenAPIMediaType(self.answer)}
        description = "The answer."
        if self.streamed:
            content["text/event-stream"] = OpenAPIMediaType(_named("StreamEvent"))
            description = "The answer; with `stream`, chunks of it as server-sent events, the last of them `[DONE]`."
        assert self.responses is not None
        self.responses["200"] = OpenAPIResponse(
            description=description,
            content=content,
            headers={name: OpenAPIHeader(description=_SERVED, schema=_text()) for name in HEADERS},
        )


class ChatCompletions(Inference):
    """A chat."""

    asks, answer = _named("ChatCompletionRequest"), _named("ChatCompletion")


class Completions(Inference):
    """A plain completion."""

    asks, answer = _named("CompletionRequest"), _named("Completion")


class FimCompletions(Inference):
    """Asked as the one, and answered as the other."""

    asks, answer = _named("CompletionRequest"), _named("ChatCompletion")


class Embeddings(Inference):
    """Vectors, never streamed."""

    asks, answer, streamed = _named("EmbeddingsRequest"), _named("Embeddings"), False
