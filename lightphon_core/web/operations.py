"""What /schema says of the routes whose handlers speak bytes: inference, models, health and metrics."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)

from lightphon_core.openai.route import MAX_SESSION
from lightphon_core.openai.selection import MAX_MODELS
from lightphon_core.web.openapi import GUARDED, TAKES_BODY, refusals
from lightphon_core.web.routing_headers import HEADERS


class ModelArchitecture(msgspec.Struct, frozen=True):
    """What goes in and what comes out: `text`, `image`, `embeddings`."""

    modality: str
    input_modalities: list[str]
    output_modalities: list[str]
    tokenizer: str
    instruct_type: None


class ModelPricing(msgspec.Struct, frozen=True):
    """Sats as decimal text: for a token of prompt, a token of completion, a request, and a minute of inference."""

    prompt: str
    completion: str
    request: str
    minute: str
    currency: str


class ModelProvider(msgspec.Struct, frozen=True):
    """What one request may have, in tokens. Null where nobody knows, or where no text is written."""

    context_length: int | None
    max_completion_tokens: int | None
    is_moderated: bool


class ModelObject(msgspec.Struct, frozen=True):
    """OpenAI's model object with OpenRouter's fields, and what else is known. Facts that nobody knows are null, or are
    left out of `auto`. `pricing` is that of the cheapest offer."""

    id: str
    object: str
    created: int
    owned_by: str
    name: str
    canonical_slug: str
    context_length: int | None
    architecture: ModelArchitecture
    pricing: ModelPricing | None
    top_provider: ModelProvider
    per_request_limits: None
    supported_parameters: list[str]
    capabilities: list[str]
    description: str | None = None
    params_b: float | None = None
    quantization: str | None = None
    nodes_online: int | None = None
    maker: str | None = None


class ModelObjects(msgspec.Struct, frozen=True):
    """`auto` first, then the models by id."""

    object: str
    data: list[ModelObject]


class Health(msgspec.Struct, frozen=True):
    """`ok` or `ready`."""

    status: str


def answers(kind: object, *refused: int, media_type: str = "application/json") -> dict[int, ResponseSpec]:
    """A body of this type with 200, and the errors."""
    good = ResponseSpec(kind, generate_examples=False, description="OK", media_type=media_type)  # type: ignore[arg-type]
    return {200: good, **refusals(*refused)}


INFERENCE = (402, *GUARDED, 404, *TAKES_BODY, 504)
"""How an inference request may fail."""


@dataclass
class ChatCompletions(Operation):
    """Its request has whatever OpenAI's has; what is here is what the gateway itself looks at."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            {"application/json": OpenAPIMediaType(_CHAT_REQUEST)}, description="As OpenAI's.", required=True
        )
        assert self.responses is not None
        self.responses["200"] = OpenAPIResponse(
            description="The answer; with `stream`, chunks of it as server-sent events, the last of them `[DONE]`.",
            content={
                "application/json": OpenAPIMediaType(_COMPLETION),
                "text/event-stream": OpenAPIMediaType(_EVENT),
            },
            headers={name: OpenAPIHeader(description=_SERVED, schema=_text()) for name in HEADERS},
        )


@dataclass
class OneModel(Operation):
    """The rest of the path is the id."""

    def __post_init__(self) -> None:
        for parameter in self.parameters or []:
            if isinstance(parameter, Parameter) and parameter.name == "model_id":
                parameter.schema = _text(description="A model's id, which may have slashes.", min_length=1)


def _text(**more: str | int) -> Schema:
    return Schema(type=OpenAPIType.STRING, **more)  # type: ignore[arg-type]


def _whole(minimum: int | None = None, maximum: int | None = None) -> Schema:
    return Schema(type=OpenAPIType.INTEGER, minimum=minimum, maximum=maximum)


_SERVED = (
    "Who served, percent-encoded where it is no visible ASCII. Left out of a stream that began before anybody answered,"
    " and where it is long."
)
_EVENT = Schema(
    type=OpenAPIType.OBJECT,
    properties={"data": _text(description="A chunk as OpenAI's, as JSON; `[DONE]` ends the stream.")},
    required=["data"],
)
_MESSAGE = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "role": Schema(type=OpenAPIType.STRING, enum=["system", "developer", "user", "assistant", "tool"]),
        "content": _text(description="Text, or OpenAI's list of content parts."),
    },
    required=["role"],
)
_CHAT_REQUEST = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "model": _text(description="A model's id, `auto`, or `auto:` and fast, cheap, code, reasoning or free."),
        "models": Schema(
            type=OpenAPIType.ARRAY, items=_text(min_length=1), max_items=MAX_MODELS, description="To fall back on."
        ),
        "route": Reference("#/components/schemas/Route"),
        "session_id": _text(description="The same for requests that go on from one another.", max_length=MAX_SESSION),
        "messages": Schema(type=OpenAPIType.ARRAY, items=_MESSAGE, min_items=1),
        "stream": Schema(type=OpenAPIType.BOOLEAN),
        "max_tokens": _whole(minimum=1),
        "n": _whole(minimum=1),
    },
    required=["model", "messages"],
)
_USAGE = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "prompt_tokens": _whole(0),
        "completion_tokens": _whole(0),
        "total_tokens": _whole(0),
        "cost_msat": _whole(0),
        "cost": _text(description="In sats, as decimal text."),
        "cost_currency": _text(),
    },
    required=["prompt_tokens", "completion_tokens", "total_tokens", "cost_msat", "cost", "cost_currency"],
)
_COMPLETION = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "id": _text(),
        "object": Schema(const="chat.completion"),
        "created": _whole(0),
        "model": _text(description="The id of the model that served, never `auto`."),
        "choices": Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.OBJECT), min_items=1),
        "usage": _USAGE,
        "routing_info": Schema(type=OpenAPIType.OBJECT, description="Who served."),
    },
    required=["id", "object", "created", "model", "choices", "usage", "routing_info"],
)
