"""What a server tells of its models, at GET /v1/models. Pure, and it trusts none of it.

Besides OpenAI's own members it reads vLLM's `max_model_len`, and OpenRouter's `context_length`, `supported_parameters`
and `architecture.input_modalities`. What nobody tells is left open: no context length, no more than chat.
"""

import json
import re
from typing import Any

from lightphon_backend_openclaw.instances import Instance
from lightphon_core import Capability, Model, Offer

MOST_MODELS = 2_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}", re.ASCII)
_MOST_TOKENS = 2**31
_PARAMETERS = {
    "tools": Capability.TOOLS,
    "response_format": Capability.JSON,
    "structured_outputs": Capability.JSON,
    "logprobs": Capability.LOGPROBS,
}


class NotAListing(ValueError):
    """The answer is no list of models."""


def offers_of(body: bytes, instance: Instance) -> list[Offer]:
    """The offers that an answer comes to, in its order, each model once.

    Left out are ids that the operator's allow-list does not have, that no client could ask for, and `auto` and
    `auto:...`, which are words of our own. Raises `NotAListing`.
    """
    try:
        data = json.loads(body)["data"]
    except (ValueError, TypeError, KeyError, RecursionError):
        data = None
    if not isinstance(data, list):
        raise NotAListing("The answer is no list of models.")
    node, offers = instance.node, {}
    for entry in data[:MOST_MODELS]:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and _is_offered(name, instance):
            model = _model(name, entry, instance)
            offers[name] = Offer(f"{node.id}/{name}", model, node, instance.slots, instance.price)
    return list(offers.values())


def _is_offered(name: str, instance: Instance) -> bool:
    if _ID.fullmatch(name) is None or name == "auto" or name.startswith("auto:"):
        return False
    return instance.models is None or name in instance.models


def _model(name: str, entry: dict[str, Any], instance: Instance) -> Model:
    told = _tokens(entry.get("context_length")) or _tokens(entry.get("max_model_len"))
    return Model(
        name,
        capabilities=instance.capabilities or _capabilities(entry),
        context_length=told or instance.context_length,
        owned_by=instance.owned_by,
    )


def _capabilities(entry: dict[str, Any]) -> frozenset[Capability]:
    able = {Capability.CHAT}
    for word in _list(entry.get("supported_parameters")):
        if isinstance(word, str) and word in _PARAMETERS:
            able.add(_PARAMETERS[word])
    architecture = entry.get("architecture")
    if isinstance(architecture, dict) and "image" in _list(architecture.get("input_modalities")):
        able.add(Capability.VISION)
    return frozenset(able)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _tokens(value: object) -> int | None:
    return value if type(value) is int and 0 < value <= _MOST_TOKENS else None
