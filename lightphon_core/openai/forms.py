"""How the answers of the endpoints look: chat, plain text, and the text between two others."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

from lightphon_core.openai.choices import BadChunk, Seen, check_chat, check_infill, check_text


@frozen
class Form:
    """`chunk` and `whole` are the word `object` of a streamed and of an unstreamed answer, whose id begins with `id`.

    `check` looks at a choice as a backend sends it, and may change it into what a client gets: it is called with the
    choice, how many there may be, and the functions that may be called. `nothing` is what a choice has that carries no
    output.
    """

    id: str
    chunk: str
    whole: str
    check: Callable[[dict[str, Any], int, frozenset[str]], Seen] = field(repr=False)
    nothing: Mapping[str, Any] = field(repr=False)


def _no_choices(_: dict[str, Any], __: int, ___: frozenset[str]) -> Seen:
    raise BadChunk("An answer of vectors has no choices.")


CHAT: Final = Form("chatcmpl-", "chat.completion.chunk", "chat.completion", check_chat, {"delta": {}})
TEXT: Final = Form("cmpl-", "text_completion", "text_completion", check_text, {"text": ""})
INFILL: Final = Form("fim-", "chat.completion.chunk", "chat.completion", check_infill, {"delta": {"content": ""}})
"""Mistral's: asked as for a plain completion, and answered as a chat."""
VECTORS: Final = Form("embd-", "list", "list", _no_choices, {})
"""Read and written by `vectors.py`, whole; its id is never seen."""
