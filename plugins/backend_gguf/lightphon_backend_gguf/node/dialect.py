"""What may be asked of an engine: the node's own guard, whatever the server sends.

Pure. A request is decoded, cut down to the parameters that the engine is meant to have, and encoded anew, so that what
was checked is what arrives: no repeated members, no other spelling, no second way to say the same.
"""

import json
from enum import StrEnum
from typing import Any, NoReturn

from attrs import frozen

from lightphon_backend_gguf.protocol.messages import JobFailed


class Feature(StrEnum):
    """What an engine can do. All but the last two are words of the core's `Capability`."""

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
    "echo",
    "input",
    "encoding_format",
    "dimensions",
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

_TEXT_PARTS = ("text", "refusal")


@frozen
class Dialect:
    """What an engine can do, and the names of the parameters that reach it. Names not listed are dropped.

    A parameter that asks for what the engine lacks is refused rather than dropped: the answer would not be what was
    asked for.
    """

    features: frozenset[Feature]
    parameters: frozenset[str]

    def prepare(self, body: bytes, model: str) -> bytes:
        """The body as the engine gets it, with `model` as its model. JobFailed ("refused") if it must not."""
        try:
            fields = json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise JobFailed("refused", "The request is not JSON.") from None
        if not isinstance(fields, dict):
            raise JobFailed("refused", "The request is not a JSON object.")
        fields = {name: value for name, value in fields.items() if value is not None}
        self._check(fields)
        kept = {name: value for name, value in fields.items() if name in self.parameters}
        if isinstance(messages := kept.get("messages"), list):
            kept["messages"] = [self._message(message) for message in messages]
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
        if Feature.CHOICES not in self.features and fields.get("n", 1) != 1:
            _unsupported("more than one choice", "n")

    def _message(self, message: Any) -> Any:
        """A message without nulls, its role one that templates know, its images data and nothing to fetch."""
        if not isinstance(message, dict):
            raise JobFailed("refused", "A message is not a JSON object.", param="messages")
        message = {name: value for name, value in message.items() if value is not None or name == "content"}
        if message.get("role") == "developer":
            message["role"] = "system"
        if isinstance(parts := message.get("content"), list):
            for part in parts:
                self._check_part(part)
        return message

    def _check_part(self, part: Any) -> None:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in _TEXT_PARTS:
            return
        if kind != "image_url" or Feature.VISION not in self.features:
            raise JobFailed("refused", "This model takes text only.", param="messages")
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        # An engine would fetch any other address, from inside the operator's network.
        if not (isinstance(url, str) and url.startswith("data:image/")):
            raise JobFailed("refused", "An image must be a data: URI.", param="messages")


def _unsupported(what: str, param: str) -> NoReturn:
    raise JobFailed("refused", f"This model's engine has no {what}.", param=param, code="unsupported_parameter")


def _no_constant(_: str) -> NoReturn:
    raise ValueError


GENERAL = Dialect(frozenset(Feature) - {Feature.VISION, Feature.INFILL}, OPENAI)
"""For a server of which nothing is known but that it speaks as OpenAI does."""
