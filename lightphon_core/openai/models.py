"""OpenAI's model objects, with what OpenRouter's have besides, and what else is known."""

from collections.abc import Collection, Sequence
from typing import Final

from lightphon_core.money import sats, sats_of_a_millionth
from lightphon_core.openai.parameters import WRITES, supported_parameters
from lightphon_core.openai.selection import AUTO
from lightphon_core.types import Capability, Focus, ListedModel, Price

_AUTO_IN_WORDS: Final = "LightPhon picks the best model on offer for each request."
_TEXT: Final = "text"


def model_entry(listed: ListedModel, price: Price | None, *, max_output_tokens: int) -> dict[str, object]:
    """One "model" object. Facts that nobody knows are null.

    `price` is that of its cheapest offer, and `max_output_tokens` the gateway's own limit.
    """
    model = listed.model
    return {
        "id": model.id,
        "object": "model",
        "created": listed.created,
        "owned_by": model.owner,
        "maker": model.maker,
        **_common(model.id, model.capabilities, model.context_length, price, max_output_tokens, tokenizer="Other"),
        "params_b": model.params_b,
        "quantization": model.quantization,
        "nodes_online": listed.nodes_online,
    }


def auto_entry(
    listed: Sequence[ListedModel], price: Price | None, *, created: int, max_output_tokens: int, name: str = AUTO
) -> dict[str, object]:
    """The entry of `auto`, which can do what any of the models can, or, as `name`, of one of its kinds. `price` is the
    least that an answer costs now, None where nothing is on offer."""
    contexts = [each.model.context_length for each in listed if each.model.context_length is not None]
    capabilities = frozenset[Capability]().union(*(each.model.capabilities for each in listed))
    if name.lower() == f"{AUTO}:{Focus.FREE}":
        price = Price()
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "lightphon",
        "description": _AUTO_IN_WORDS,
        **_common(name, capabilities, max(contexts, default=None), price, max_output_tokens, tokenizer="Router"),
    }


def _common(
    name: str,
    capabilities: Collection[Capability],
    context_length: int | None,
    price: Price | None,
    max_output_tokens: int,
    *,
    tokenizer: str,
) -> dict[str, object]:
    """What every entry has besides OpenAI's fields, as OpenRouter has it. `tokenizer` is a word of theirs."""
    return {
        "name": name,
        "canonical_slug": name,
        "context_length": context_length,
        "architecture": _architecture(capabilities, tokenizer),
        "pricing": None if price is None else _pricing(price),
        "top_provider": {
            "context_length": context_length,
            "max_completion_tokens": _most_tokens(capabilities, context_length, max_output_tokens),
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": supported_parameters(capabilities),
        "capabilities": sorted(capabilities),
    }


def _architecture(capabilities: Collection[Capability], tokenizer: str) -> dict[str, object]:
    takes, gives = [_TEXT], []
    if Capability.VISION in capabilities:
        takes.append("image")
    if WRITES.intersection(capabilities):
        gives.append(_TEXT)
    if Capability.EMBEDDING in capabilities:
        gives.append("embeddings")
    return {
        "modality": f"{'+'.join(takes)}->{'+'.join(gives)}",
        "input_modalities": takes,
        "output_modalities": gives,
        "tokenizer": tokenizer,
        "instruct_type": None,
    }


def _pricing(price: Price) -> dict[str, str]:
    """Sats as decimal strings: for a token of prompt, a token of completion, a request, and a minute of inference."""
    return {
        "prompt": sats_of_a_millionth(price.per_mtok_prompt),
        "completion": sats_of_a_millionth(price.per_mtok_completion),
        "request": sats(price.per_request),
        "minute": sats(price.per_minute),
        "currency": "sat",
    }


def _most_tokens(capabilities: Collection[Capability], context_length: int | None, limit: int) -> int | None:
    """How long one answer may be; None where there is none of text."""
    if not WRITES.intersection(capabilities):
        return None
    return limit if context_length is None else min(limit, context_length)
