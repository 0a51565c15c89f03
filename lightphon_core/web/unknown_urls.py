"""What to do instead, where a client asks for what is not here: an endpoint of OpenAI's or of another API, a base URL
that is not quite right, or a method that the path has not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

CHAT: Final = "POST /v1/chat/completions"

INSTEAD: Final[Mapping[str, str]] = {
    "responses": f"LightPhon has no Responses API: have the client use the Chat Completions API, {CHAT}. That is"
    " use_responses_api=False in LangChain, set_default_openai_api('chat_completions') in OpenAI's Agents SDK, and"
    " openai.chat(...) in the AI SDK.",
    "conversations": f"LightPhon keeps no conversations: send the whole of one in `messages`, {CHAT}.",
    "assistants": f"LightPhon has no assistants: send the instructions as a system message, {CHAT}.",
    "threads": f"LightPhon keeps no threads: send the whole conversation in `messages`, {CHAT}.",
    "batches": f"LightPhon has no batches: send the requests one by one, several at once if you like, {CHAT}.",
    "files": f"LightPhon keeps no files: send text and images in `messages`, {CHAT}.",
    "uploads": f"LightPhon keeps no files: send text and images in `messages`, {CHAT}.",
    "vector_stores": "LightPhon keeps no vectors: make them with POST /v1/embeddings, and keep them yourself.",
    "audio": "LightPhon has no audio: no model here hears or speaks. Set up another provider for speech.",
    "realtime": f"LightPhon has no Realtime API. Text is streamed with `stream`, {CHAT}.",
    "images": f"LightPhon makes no images. Models with vision read them in `messages`, {CHAT}.",
    "videos": "LightPhon makes no videos. Set up another provider for them.",
    "moderations": f"LightPhon has no moderation. A model can be asked to judge a text, {CHAT}.",
    "fine_tuning": "LightPhon trains no models. GPU nodes serve the model files that their operators give them.",
    "evals": "LightPhon has no evals. Run them against the Chat Completions API, " + CHAT + ".",
    "messages": f"LightPhon speaks OpenAI's API, not Anthropic's: choose an OpenAI-compatible provider, {CHAT}.",
    "rerank": "LightPhon has no reranking. POST /v1/embeddings makes vectors to compare.",
}
"""What LightPhon has instead of an endpoint, by the first part of its path below /v1."""

OLLAMA: Final = frozenset({"chat", "generate", "embed", "embeddings", "tags", "show", "ps", "pull", "version"})
"""Below /api."""

_NOT_OLLAMA: Final = (
    "This is a path of Ollama's API. LightPhon speaks OpenAI's: choose an OpenAI-compatible provider, with a base URL"
    " that ends in /v1."
)
_PLACE: Final = re.compile(r"^/+(?:api/agent/[^/]+/*)?")
_ENDPOINT: Final = re.compile(r"(?:^|/)(?:chat/completions|completions|embeddings|models)/*$")


def instead_of(path: str) -> str | None:
    """A sentence or two for one who asked for `path`, which is not here; None where nobody can tell what was meant."""
    below = _PLACE.sub("", path)
    parts = [part for part in below.split("/") if part]
    if parts[:1] == ["api"]:
        return _NOT_OLLAMA if parts[1:2] and parts[1] in OLLAMA else None
    while parts[:1] == ["v1"]:
        del parts[0]
    if not parts:
        return "This is no endpoint but a base URL: clients append /chat/completions and the like to it."
    if (said := INSTEAD.get(parts[0])) is not None:
        return said
    if _ENDPOINT.search(below):
        return "The client's base URL should end in /v1, with nothing after it: clients append the rest."
    return None


def wrong_method(method: str, path: str, allowed: str) -> str:
    """For one who may ask for `path`, but by the methods of `allowed` ("GET, HEAD") alone."""
    known = [name for name in allowed.split(", ") if name not in ("OPTIONS", "HEAD")]
    return f"{method} is not for {path}. Send {' or '.join(sorted(known))}."
