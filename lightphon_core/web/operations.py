"""What /schema says of the routes whose handlers speak bytes: models, health and metrics. Inference has a module of its
own."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIType, Operation, Parameter, Schema

from lightphon_core.web.openapi import refusals


class ModelObject(msgspec.Struct, frozen=True):
    """OpenAI's model object, and what else is known. Facts that nobody knows are null, or are left out of `auto`."""

    id: str
    object: str
    created: int
    owned_by: str
    context_length: int | None
    capabilities: list[str]
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
