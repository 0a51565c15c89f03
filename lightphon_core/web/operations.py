"""What /schema says of the routes whose handlers speak bytes: models, health and metrics. Inference has a module of its
own."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from lightphon_core.web.openapi import refusals


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


@dataclass
class OneModel(Operation):
    """The rest of the path is the id."""

    def __post_init__(self) -> None:
        for parameter in self.parameters or []:
            if isinstance(parameter, Parameter) and parameter.name == "model_id":
                parameter.schema = Schema(
                    type=OpenAPIType.STRING, description="A model's id, which may have slashes.", min_length=1
                )
