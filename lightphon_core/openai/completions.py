"""What the gateway reads of a plain completion request, and of one for the text between two others."""

from typing import Annotated, Final

import msgspec
from attrs import evolve
from msgspec import Meta

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.body import is_in_tokens, typed
from lightphon_core.openai.facts import Facts, Prompt
from lightphon_core.openai.forms import INFILL, TEXT
from lightphon_core.openai.generation import MAX_CHOICES, Generating, needed_for
from lightphon_core.openai.selection import Opening, selection_of, session_of
from lightphon_core.types import Capability

MAX_PROMPTS: Final = MAX_CHOICES


class _Completion(Generating, kw_only=True):
    prompt: str | list[str]
    suffix: str | None = None
    echo: bool | None = None
    best_of: Annotated[int, Meta(ge=1)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


KNOWN: Final = frozenset(_Completion.__struct_fields__)
"""The fields that are checked here."""

_completion = msgspec.json.Decoder(_Completion)
_NOTHING: Opening = (0, "")


def inspect(body: bytes, fields: dict[str, bytes], session_id: str | None = None) -> Facts:
    """Check a plain completion request. `fields` are its members without the nulls, and are changed in place: `prompt`
    becomes a text, or a list of several, and a `suffix` that is empty leaves.

    Several prompts are several choices of one answer, as OpenAI has them: the index says which.

    Raises:
        InvalidRequest: Something that is looked at is missing, of a wrong type, or out of its range.
    """
    if "prompt" not in fields:
        hint = " A chat has 'messages', and is for /v1/chat/completions." if "messages" in fields else ""
        raise InvalidRequest(f"Missing required parameter: 'prompt'.{hint}", param="prompt")
    if is_in_tokens(fields["prompt"]):
        message = "'prompt' must be text: tokens are a model's own, and these would be another one's."
        raise InvalidRequest(message, param="prompt")
    asked = typed(body, _completion, {})
    prompts = [asked.prompt] if isinstance(asked.prompt, str) else asked.prompt
    if not prompts:
        raise InvalidRequest("'prompt' must be a text, or a list of at least one.", param="prompt")
    if not any(prompts) and not asked.suffix:
        raise InvalidRequest("'prompt' is empty; there is nothing to go on from.", param="prompt")
    choices = _choices(asked, len(prompts))
    if len(prompts) == 1:
        fields["prompt"] = msgspec.json.encode(prompts[0])
    if not asked.suffix:
        fields.pop("suffix", None)
    fields.pop("echo", None)
    return Facts(
        selection=selection_of(asked),
        form=TEXT,
        capabilities=frozenset(_needed(asked, choices)),
        prompt=_measured(prompts, asked.suffix or ""),
        session=session_of(asked, session_id, (_NOTHING, (len(prompts[0]), prompts[0]))),
        stream=bool(asked.stream),
        include_usage=asked.includes_usage,
        n=choices,
    )


def inspect_infill(body: bytes, fields: dict[str, bytes], session_id: str | None = None) -> Facts:
    """Check a request of Mistral's form for the text between `prompt` and `suffix`: asked as a plain completion, and
    answered as a chat. Without a suffix the prompt is only gone on from.

    Raises:
        InvalidRequest: As for `inspect`.
    """
    return evolve(inspect(body, fields, session_id), form=INFILL)


def _choices(asked: _Completion, prompts: int) -> int:
    """How many the answer has."""
    n = asked.n or 1
    if asked.echo:
        raise InvalidRequest("'echo' is not supported: put the prompt before the answer yourself.", param="echo")
    if asked.best_of is not None and asked.best_of > n:
        raise InvalidRequest("'best_of' above 'n' is not supported: ask for 'n' choices, and pick.", param="best_of")
    if prompts > 1 and n > 1:
        raise InvalidRequest("Ask for several prompts, or for several choices of one ('n'); not for both.", param="n")
    if prompts > 1 and asked.suffix:
        raise InvalidRequest("A 'suffix' belongs to one prompt: send one request for each.", param="suffix")
    if prompts > MAX_PROMPTS:
        message = f"'prompt' must have at most {MAX_PROMPTS} texts; send the rest on its own."
        raise InvalidRequest(message, param="prompt")
    return max(n, prompts)


def _needed(asked: _Completion, choices: int) -> set[Capability]:
    """What whoever serves the request must be able to do."""
    needed = {Capability.COMPLETION} | needed_for(asked, choices)
    if asked.suffix:
        needed.add(Capability.INFILL)
    if asked.logprobs is not None:
        needed.add(Capability.LOGPROBS)
    return needed


def _measured(prompts: list[str], suffix: str) -> Prompt:
    lengths = [len(prompt.encode()) + len(suffix.encode()) for prompt in prompts]
    return Prompt(sum(lengths), 0, len(prompts), 0, longest_bytes=max(lengths))
