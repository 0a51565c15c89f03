"""OpenAI's model objects, with what a client of ours may want to know besides."""

from collections.abc import Sequence

from lightphon_core.openai.selection import AUTO
from lightphon_core.types import ListedModel, Model


def model_entry(listed: ListedModel) -> dict[str, object]:
    """One "model" object. Facts that nobody knows are null."""
    model = listed.model
    return {
        "id": model.id,
        "object": "model",
        "created": listed.created,
        "owned_by": owner_of(model),
        "maker": model.maker,
        "context_length": model.context_length,
        "capabilities": sorted(model.capabilities),
        "params_b": model.params_b,
        "quantization": model.quantization,
        "nodes_online": listed.nodes_online,
    }


def owner_of(model: Model) -> str:
    """OpenAI's `owned_by`: who offers it, or else who made it."""
    return model.owned_by or model.maker or "lightphon"


def auto_entry(listed: Sequence[ListedModel], created: int, name: str = AUTO) -> dict[str, object]:
    """The entry of `auto`, which can do what any of the models can, or, as `name`, of one of its kinds."""
    contexts = [each.model.context_length for each in listed if each.model.context_length is not None]
    capabilities = frozenset[str]().union(*(each.model.capabilities for each in listed))
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "lightphon",
        "context_length": max(contexts, default=None),
        "capabilities": sorted(capabilities),
    }


def model_list(listed: Sequence[ListedModel], created: int) -> dict[str, object]:
    """The whole list: `auto` first, then the models by id. `created` is that of `auto`."""
    entries = [model_entry(each) for each in sorted(listed, key=lambda each: each.model.id)]
    return {"object": "list", "data": [auto_entry(listed, created), *entries]}
