"""Which models a request may be answered by, and which conversation it belongs to. Common to all inference requests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

from attrs import field, frozen
from msgspec import Meta, Struct

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.route import Name, Route, SessionName, filters_of
from lightphon_core.types import GATEWAY_WORD, Filters, Focus, is_gateway

AUTO: Final = "auto"
"""The model id that leaves the choice to the router. After a colon it may say what to look for: "auto:fast"."""
MAX_MODELS: Final = 8
"""The most that `models` may name."""
MAX_CLIENTS: Final = 8
"""The most gateways that a request may say it came through."""
OPENING_CHARS: Final = 4096
"""What is looked at of the text of each message that begins a conversation, apart from how long it is."""

Opening = tuple[int, str]
"""The length of such a text in characters, and its first `OPENING_CHARS` at most; a text that is longer may be given
whole. (0, "") where nothing is said."""

_NO_FILTERS: Final = Filters()


class Selecting(Struct):
    """The fields that say it. None of them travels upstream."""

    model: Name | None = None
    models: Annotated[list[Name], Meta(max_length=MAX_MODELS)] | None = None
    route: Route | None = None
    session_id: SessionName | None = None
    prompt_cache_key: SessionName | None = None


@frozen
class Selection:
    """`model` is an id, or None for `auto`, which `focus` is about; `fallbacks` are the same, in their order."""

    model: str | None
    focus: Focus | None = None
    fallbacks: tuple[str | None, ...] = ()
    filters: Filters = field(factory=Filters)


def selection_of(asked: Selecting) -> Selection:
    """What is asked for. Without `model` the first of `models` is it.

    Raises:
        InvalidRequest: No model is named, `auto` is asked for in two ways, or `route` is wrong.
    """
    if asked.model is not None and not asked.models and asked.route is None and not asked.model.startswith(AUTO):
        return Selection(asked.model, filters=_NO_FILTERS)  # what nearly all ask for
    named = [(asked.model, "model")] if asked.model is not None else []
    named += [(name, f"models[{at}]") for at, name in enumerate(asked.models or ())]
    if not named:
        raise InvalidRequest("Missing required parameter: 'model'.", param="model")
    focus: Focus | None = None
    wanted: dict[str | None, Focus | None] = {}
    for name, param in named:
        model, own = read_model(name, param)
        if wanted.setdefault(model, own) != own:
            raise InvalidRequest(f"'{param}' asks for auto again, in another way. Name it once.", param=param)
        focus = focus or own
    model, *fallbacks = wanted
    filters = _NO_FILTERS if asked.route is None else filters_of(asked.route, "route")
    return Selection(model, focus, tuple(fallbacks), filters)


def read_model(name: str, param: str = "model") -> tuple[str | None, Focus | None]:
    """The id that `name` is; of `auto` none, and what it is asked to look for.

    Raises:
        InvalidRequest: `auto` cannot look for that.
    """
    head, colon, suffix = name.partition(":")
    if head != AUTO:
        return name, None
    if not colon:
        return None, None
    try:
        return None, Focus(suffix.lower())
    except ValueError:
        words = ", ".join(f"{AUTO}:{focus}" for focus in Focus)
        raise InvalidRequest(f"Invalid value for '{param}'. It must be one of: {AUTO}, {words}.", param=param) from None


def clients_of(header: str | None) -> frozenset[str]:
    """The kinds of gateway that a request says it came through, in lower case: the words of x-lightphon-client, with
    commas between them.

    Raises:
        InvalidRequest: That header is something else, or has more than `MAX_CLIENTS`. What is meant to keep a request
            from going round in a circle is not passed over in silence.
    """
    if not header:
        return frozenset()
    words = [word.strip() for word in header.split(",")]
    if len(words) > MAX_CLIENTS or not all(map(is_gateway, words)):
        raise InvalidRequest(
            f"The header x-lightphon-client must be {GATEWAY_WORD}, such as openclaw; or up to {MAX_CLIENTS} of them, "
            "with commas between.",
            param="x-lightphon-client",
        )
    return frozenset(word.lower() for word in words)


def session_of(asked: Selecting, header: str | None, opening: Sequence[Opening]) -> bytes | None:
    """A digest that is the same for requests that go on from one another; None where nothing tells.

    That is what the client calls its session: in the body, in `header` (x-session-id), or as its key of a prompt cache.
    Else it is how the conversation begins: `opening` is what the system says first, and the user.
    """
    if name := asked.session_id or header:
        return session_named(name)
    if key := asked.prompt_cache_key:
        return _digest(b"cache key", (len(key), key))
    return _digest(b"opening", *opening) if any(length for length, _ in opening) else None


def session_named(name: str) -> bytes:
    """The digest of a session that the client has a name for."""
    return _digest(b"name", (len(name), name))


def _digest(kind: bytes, *texts: Opening) -> bytes:
    """Of each text its length goes first, so that no two lists of texts look the same."""
    parts = [f"{length}:{text[:OPENING_CHARS]}" for length, text in texts]
    return hashlib.blake2b("".join(parts).encode(), digest_size=32, person=kind).digest()
