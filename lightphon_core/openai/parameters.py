"""Which parameters of a request have an effect, by what a model can do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from lightphon_core.types import Capability

WRITES: Final = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.INFILL})
"""What answers with text."""

OF_EVERY_TEXT: Final = frozenset({"max_completion_tokens", "max_tokens", "seed", "stop", "temperature", "top_p"})
"""What every engine of ours takes for an answer of text."""

OF_CAPABILITY: Final[Mapping[Capability, frozenset[str]]] = {
    Capability.EMBEDDING: frozenset({"dimensions", "encoding_format"}),  # the gateway's own work
    Capability.TOOLS: frozenset({"tool_choice", "tools"}),
    Capability.JSON: frozenset({"response_format", "structured_outputs"}),
    Capability.INFILL: frozenset({"suffix"}),
    Capability.CHOICES: frozenset({"n"}),
    # Of our engines, those that tell log probabilities are those that have the whole of the sampler.
    Capability.LOGPROBS: frozenset(
        {"frequency_penalty", "logit_bias", "logprobs", "min_p", "presence_penalty", "top_k", "top_logprobs"}
    ),
}
"""What works besides, where a model can do this. The words are OpenRouter's: `structured_outputs` is no parameter, but
says that `response_format` may be a JSON schema.

Parameters that only some engines know (`repeat_penalty`, `grammar`, `reasoning_effort`) travel, and are not listed.
"""


def supported_parameters(capabilities: Collection[Capability]) -> list[str]:
    """The parameters that work with such a model, by name."""
    found = set(OF_EVERY_TEXT) if WRITES.intersection(capabilities) else set()
    for capability in capabilities:
        found |= OF_CAPABILITY.get(capability, frozenset())
    return sorted(found)
