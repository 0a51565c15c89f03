"""The fields that chats and plain completions have in common: how to draw tokens, when to stop, how to answer."""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from lightphon_core.openai.selection import Selecting
from lightphon_core.types import Capability

MAX_CHOICES: Final = 8
"""The most that `n` may ask for."""

MAX_STOPS: Final = 16
"""How many texts `stop` may have. OpenAI takes 4; an editor that asks for infill sends a dozen."""

_MAX_WINDOW = 65_536  # tokens; llama.cpp allocates what these two fields say

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Window = Annotated[int, Meta(ge=-1, le=_MAX_WINDOW)]


class StreamOptions(Struct):
    """How a stream ends."""

    include_usage: bool | None = None


class Generating(Selecting, kw_only=True):
    """What is checked of them. All but `stream` and `stream_options` travel as they are."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    json_schema: dict[str, Any] | None = None
    grammar: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=MAX_STOPS)] | None = None
    logit_bias: dict[str, float | bool] | list[Any] | None = None
    repeat_last_n: Window | None = None
    dry_penalty_last_n: Window | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether usage is to come in a chunk of its own."""
        return bool(self.stream_options and self.stream_options.include_usage)


def needed_for(asked: Generating, choices: int) -> set[Capability]:
    """What these fields need of whoever serves, for so many choices."""
    needed = set[Capability]()
    # An engine that keeps an answer to a schema does so by a grammar.
    if asked.json_schema is not None or asked.grammar is not None:
        needed.add(Capability.JSON)
    if choices > 1:
        needed.add(Capability.CHOICES)
    return needed
