"""What no offer can do, or has no room for, and which models could: for the client to choose one of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from lightphon_core.errors import ContextLengthExceeded, InvalidRequest
from lightphon_core.types import Capability, Model, Needs

NAMED = 5
"""How many models, makers and so on an error names."""

CAPABILITY_IN_WORDS: Final[Mapping[Capability, str]] = {
    Capability.CHAT: "chat",
    Capability.COMPLETION: "plain text completion",
    Capability.EMBEDDING: "embeddings",
    Capability.TOOLS: "tools",
    Capability.VISION: "images",
    Capability.JSON: "JSON output",
    Capability.REASONING: "reasoning",
    Capability.CODE: "code",
    Capability.INFILL: "infill",
    Capability.LOGPROBS: "log probabilities",
    Capability.CHOICES: "more than one choice",
}

ENDPOINTS: Final[Mapping[Capability, str]] = {
    Capability.CHAT: "POST /v1/chat/completions",
    Capability.COMPLETION: "POST /v1/completions",
    Capability.EMBEDDING: "POST /v1/embeddings",
}
"""Capabilities that have an endpoint of their own. One who asks at another has mistaken the model or the endpoint."""

ASKED_BY: Final[Mapping[Capability, str]] = {
    Capability.TOOLS: "tools",
    Capability.VISION: "messages",
    Capability.JSON: "response_format",
    Capability.INFILL: "suffix",
    Capability.LOGPROBS: "logprobs",
    Capability.CHOICES: "n",
}
"""The field of the request that asks for it; for others it is the model."""

PROMPT: Final[Mapping[str, str]] = {
    "/v1/completions": "prompt",
    "/v1/fim/completions": "prompt",
    "/v1/embeddings": "input",
}
"""The field that has the prompt, by path; elsewhere it is `messages`."""


def unable(needs: Needs, left: Sequence[Model], usable: Collection[Model], nobody: str) -> InvalidRequest:
    """None of the models of `left`, which the request names, can do what it needs. `usable` are all on offer that its
    key may use, and `nobody` is what none of them is called."""
    lacking, words = lacked(needs.capabilities, left)
    if needs.model is None:
        hint = " Send text only." if lacking == [Capability.VISION] else ""
        param = ASKED_BY.get(lacking[0], "model")
        return InvalidRequest(f"{nobody} can do {words}.{hint}", param=param, code="unsupported")
    said = [f"The model {needs.model!r} cannot do {words}."]
    if ENDPOINTS.keys() & set(lacking) and (served := _endpoints(left)):
        said.append(f"It serves {served}.")
    could = {model.id for model in usable if needs.capabilities <= model.capabilities and _holds(model, needs)}
    said.append(f"These can: {some(could)}." if could else f"{nobody} can.")
    return InvalidRequest(" ".join(said), param="model", code="unsupported")


def too_long(needs: Needs, left: Sequence[Model], usable: Collection[Model]) -> ContextLengthExceeded:
    """None of the models of `left` has room for the prompt; the others are as in `unable`."""
    largest = max(model.context_length or 0 for model in left)
    prompt = f"The prompt has at least {needs.least_context} tokens, but the"
    if needs.model is None:
        said, instead = f"{prompt} largest context on offer is {largest} tokens.", ""
    else:
        said = f"{prompt} context of the model {needs.model!r} is {largest} tokens."
        instead = _longer(needs, usable)
    return ContextLengthExceeded(f"{said} Shorten it{instead}.", param=PROMPT.get(needs.path, "messages"))


def lacked(wanted: frozenset[Capability], models: Iterable[Model]) -> tuple[list[Capability], str]:
    """Those that none of the models has, and the same in words; all of them where only none has them at once."""
    offered = frozenset[Capability]().union(*(model.capabilities for model in models))
    lacking = sorted(wanted - offered)
    words = " and ".join(CAPABILITY_IN_WORDS[each] for each in lacking or sorted(wanted))
    return (lacking, words) if lacking else (sorted(wanted), f"{words} at once")


def some(names: Collection[str]) -> str:
    """The first few of them."""
    named = ", ".join(name[:200] for name in sorted(names)[:NAMED]) or "no model"
    more = len(names) - NAMED
    return f"{named} and {more} more" if more > 0 else named


def _endpoints(models: Sequence[Model]) -> str:
    """What the models serve, and where."""
    able = frozenset[Capability]().union(*(model.capabilities for model in models))
    return " and ".join(
        f"{CAPABILITY_IN_WORDS[each]}: {endpoint}" for each, endpoint in ENDPOINTS.items() if each in able
    )


def _longer(needs: Needs, usable: Collection[Model]) -> str:
    """Of the models that have room for the prompt, the one that has most."""
    roomy = [
        (model.context_length, model.id)
        for model in usable
        if needs.capabilities <= model.capabilities and model.context_length is not None and _holds(model, needs)
    ]
    if not roomy:
        return "; no other model has room for it"
    context, name = max(roomy)
    return f", or use the model {name!r}, which has {context}"


def _holds(model: Model, needs: Needs) -> bool:
    """Whether it has room for the prompt, and a token of answer."""
    return model.context_length is None or model.context_length > needs.least_context
