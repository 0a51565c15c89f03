"""What each engine may be asked: what it can do, and the parameters that it takes.

Pure. A request that `guard` let pass is cut down to what the engine is meant to have, and encoded anew, so that what
was checked is what arrives: no repeated members, no other spelling, no second way to say the same.
"""

import json
from enum import StrEnum
from typing import Any, NoReturn, Self

from attrs import frozen

from lightphon_backend_gguf.node.guard import Guarded, texts
from lightphon_backend_gguf.node.models.infill import Infill
from lightphon_backend_gguf.protocol.messages import JobFailed


class Feature(StrEnum):
    """What an engine can do. Its values are words of the core's `Capability`."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    TOOLS = "tools"
    JSON = "json"
    VISION = "vision"
    INFILL = "infill"
    LOGPROBS = "logprobs"
    CHOICES = "choices"


SAMPLING = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias"}
)
"""How tokens are drawn, and where an answer ends."""

OPENAI = SAMPLING | {
    "messages",
    "prompt",
    "suffix",
    "input",
    "encoding_format",
    "stream",
    "stream_options",
    "max_tokens",
    "n",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
}
"""OpenAI's own parameters, as far as they are for the one who computes the answer; and two that every engine has."""

LLAMA_CPP = OPENAI | {
    "repeat_penalty",
    "repeat_last_n",
    "typical_p",
    "xtc_probability",
    "xtc_threshold",
    "dynatemp_range",
    "dynatemp_exponent",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_penalty_last_n",
    "dry_sequence_breakers",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "top_n_sigma",
    "samplers",
    "grammar",
    "json_schema",
    "ignore_eos",
    "reasoning_format",
    "reasoning_budget",
    "chat_template_kwargs",
}
"""What llama.cpp's server takes besides, of which nothing reaches beyond the one answer."""

_READ = (
    (Feature.CHAT, "chat", "messages"),
    (Feature.COMPLETION, "plain completions", "prompt"),
    (Feature.EMBEDDING, "embeddings", "input"),
)
"""What a model reads, under which name, and what that asks of its engine."""


@frozen
class Dialect:
    """What an engine can do, and the names of the parameters that reach it. Names not listed are dropped.

    A parameter that asks for what the engine lacks is refused rather than dropped: the answer would not be what was
    asked for. `choices` is how many an answer may have; above one, CHOICES is among the features. Where INFILL is among
    them, `infill` says how a prompt with a suffix is written; None for an engine that takes `suffix` itself.
    """

    features: frozenset[Feature]
    parameters: frozenset[str]
    choices: int = 1
    infill: Infill | None = None

    @classmethod
    def of_slots(
        cls, features: frozenset[Feature], parameters: frozenset[str], slots: int, infill: Infill | None = None
    ) -> Self:
        """Of an engine that has so many slots, of which each choice takes one: with one slot there is one choice."""
        if Feature.CHOICES not in features or slots == 1:
            return cls(features - {Feature.CHOICES}, parameters, infill=infill)
        return cls(features, parameters, slots, infill)

    def prepare(self, request: Guarded, model: str) -> bytes:
        """The body as the engine gets it, with `model` as its model. JobFailed ("refused") if it must not."""
        fields = {name: value for name, value in request.items() if value is not None}
        self._check(fields)
        self._check_choices(request, fields)
        kept = {name: value for name, value in fields.items() if name in self.parameters}
        if isinstance(messages := kept.get("messages"), list):
            kept["messages"] = [self._message(message) for message in messages]
        suffix = kept.pop("suffix", "")
        if "prompt" in kept:
            kept |= self._prompt(texts(request, "prompt"), suffix)
        return json.dumps({**kept, "model": model}, separators=(",", ":")).encode()

    def _check(self, fields: dict[str, Any]) -> None:
        """Refuse what the engine has no feature for."""
        if Feature.TOOLS not in self.features:
            for name in ("tools", "functions"):
                if fields.get(name):
                    _unsupported("tools", name)
        if Feature.JSON not in self.features:
            form = fields.get("response_format")
            if form is not None and not (isinstance(form, dict) and form.get("type") == "text"):
                _unsupported("JSON output", "response_format")
            for name in ("grammar", "json_schema"):
                if name in fields:
                    _unsupported("JSON output", name)
        if Feature.LOGPROBS not in self.features:
            for name in ("logprobs", "top_logprobs"):
                # Zero is a number of log probabilities, except that bool's False is zero too.
                if fields.get(name, False) is not False:
                    _unsupported("log probabilities", name)
        for feature, what, name in _READ:
            if feature not in self.features and name in fields:
                _unsupported(what, name)
        if Feature.INFILL not in self.features and fields.get("suffix"):
            _unsupported("infill", "suffix")
        if fields.get("echo", False) is not False:
            _unsupported("echo of the prompt", "echo")

    def _check_choices(self, request: Guarded, fields: dict[str, Any]) -> None:
        """Refuse more choices than the engine makes at once: `n` for each prompt."""
        n = fields.get("n", 1)
        if type(n) is not int or not 1 <= n <= self.choices:
            if self.choices == 1:
                _unsupported("more than one choice", "n")
            raise JobFailed("refused", f"'n' must be a whole number from 1 to {self.choices} here.", param="n")
        if len(texts(request, "prompt")) * n > self.choices:
            if self.choices == 1:
                _unsupported("more than one choice", "prompt")
            raise JobFailed("refused", f"This model answers {self.choices} prompts at once.", param="prompt")

    def _prompt(self, prompts: list[str], suffix: str) -> dict[str, Any]:
        """The prompt and, for an engine that takes it itself, the suffix. One prompt is always a text: not every engine
        takes lists."""
        if suffix and self.infill is not None:
            prompts, suffix = [self.infill.prompt(prompt, suffix) for prompt in prompts], ""
        fields: dict[str, Any] = {"prompt": prompts[0] if len(prompts) == 1 else prompts}
        return {**fields, "suffix": suffix} if suffix else fields

    def _message(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message without nulls, its role one that templates know, with images only for who sees them."""
        message = {name: value for name, value in message.items() if value is not None or name == "content"}
        if message.get("role") == "developer":
            message["role"] = "system"
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if Feature.VISION not in self.features and any(part["type"] == "image_url" for part in parts):
            raise JobFailed("refused", "This model takes text only.", param="messages")
        return message


def _unsupported(what: str, param: str) -> NoReturn:
    raise JobFailed("refused", f"This model's engine has no {what}.", param=param, code="unsupported_parameter")


GENERAL = Dialect(frozenset(Feature) - {Feature.VISION, Feature.INFILL, Feature.CHOICES}, OPENAI)
"""For a server of which nothing is known but that it speaks as OpenAI does."""
