"""What running servers tell of their models, each in its own way. Pure, and it trusts none of it.

llama.cpp: /props and `meta` in /v1/models. Ollama: /api/show. vLLM: `max_model_len` in /v1/models. Whether llama.cpp
and vLLM make vectors shows when they are asked for one. Others tell nothing, and what nobody tells is left open: no
context length, no more than chat.
"""

from typing import Any, Literal

from attrs import field, frozen

from lightphon_backend_gguf.node.dialect import Feature

Server = Literal["llama.cpp", "ollama", "vllm", "other"]

_OLLAMA = {
    "completion": (Feature.CHAT, Feature.COMPLETION),
    "tools": (Feature.TOOLS,),
    "vision": (Feature.VISION,),
    "embedding": (Feature.EMBEDDING,),
    "insert": (Feature.INFILL,),
}
_MOST = 2**31
_BERT = 3
"""llama.cpp's number for WordPiece (enum llama_vocab_type in its include/llama.h)."""


@frozen
class Told:
    """The decoded answers of one server: None where it had none. `shown` is /api/show by model, `embedded` what
    /v1/embeddings says to a short text."""

    models: Any
    props: Any = None
    shown: dict[str, Any] = field(factory=dict)
    embedded: dict[str, Any] = field(factory=dict)

    def entry(self, name: str) -> Any:
        """What /v1/models says of a model."""
        return next((item for item in _list(_at(self.models, "data")) if _at(item, "id") == name), {})

    @property
    def is_llama_cpp(self) -> bool:
        return _at(self.props, "default_generation_settings") is not None

    def is_vllm(self, name: str) -> bool:
        return _whole(_at(self.entry(name), "max_model_len")) is not None

    def embeds(self, name: str) -> bool:
        """Whether it gave a vector."""
        return any(_at(item, "embedding") for item in _list(_at(self.embedded.get(name), "data")))


@frozen
class Listed:
    """One model of a running server. `name` is the server's own for it; `context` is in tokens, for one request."""

    name: str
    server: Server
    features: frozenset[Feature]
    context: int | None = None
    slots: int | None = None
    params_b: float | None = None
    quantization: str | None = None
    reasoning: bool = False


def listed(told: Told, name: str) -> Listed:
    """What a server tells of one of its models."""
    if told.is_llama_cpp:
        return _llama_cpp(told, name)
    if isinstance(shown := told.shown.get(name), dict):
        return _ollama(shown, name)
    if told.is_vllm(name):
        # Tools need a parser that the operator chose, which vLLM does not tell. A model there makes text or vectors.
        text = {Feature.CHAT, Feature.COMPLETION, Feature.JSON, Feature.LOGPROBS, Feature.CHOICES}
        features = frozenset({Feature.EMBEDDING} if told.embeds(name) else text)
        return Listed(name, "vllm", features, _whole(_at(told.entry(name), "max_model_len")))
    return Listed(name, "other", frozenset({Feature.CHAT}))


def _llama_cpp(told: Told, name: str) -> Listed:
    props, entry = told.props, told.entry(name)
    template = str(_at(props, "chat_template") or "")
    found = {Feature.COMPLETION, Feature.JSON, Feature.LOGPROBS, Feature.CHOICES}
    if template:
        found.add(Feature.CHAT)
    if "tools" in template:
        found.add(Feature.TOOLS)
    if _at(props, "modalities", "vision") is True:
        found.add(Feature.VISION)
    if told.embeds(name):
        # A vocabulary of BERT's kind is that of a model that writes no text.
        found = {Feature.EMBEDDING} if _at(entry, "meta", "vocab_type") == _BERT else found | {Feature.EMBEDDING}
    parameters = _whole(_at(entry, "meta", "n_params"), 2**50)
    return Listed(
        name=name,
        server="llama.cpp",
        features=frozenset(found),
        context=_whole(_at(props, "default_generation_settings", "n_ctx")),
        slots=_whole(_at(props, "total_slots")),
        params_b=parameters / 1e9 if parameters else None,
        reasoning="<think>" in template or "enable_thinking" in template,
    )


def _ollama(shown: dict[str, Any], name: str) -> Listed:
    words = [word for word in _list(shown.get("capabilities")) if isinstance(word, str)]
    features = {feature for word in words for feature in _OLLAMA.get(word, ())}
    if Feature.CHAT in features:
        features.add(Feature.JSON)
    info = shown.get("model_info")
    trained = _whole(_at(info, f"{_at(info, 'general.architecture')}.context_length"))
    granted = _granted(shown.get("parameters"))
    count = _whole(_at(info, "general.parameter_count"), 2**50)
    quantization = _at(shown, "details", "quantization_level")
    return Listed(
        name=name,
        server="ollama",
        features=frozenset(features or {Feature.CHAT}),
        # Ollama cuts longer prompts without a word; only what the model's own settings say is sure to be granted.
        context=min(granted, trained or granted) if granted else None,
        params_b=count / 1e9 if count else None,
        quantization=quantization if isinstance(quantization, str) else None,
        reasoning="thinking" in words,
    )


def _granted(parameters: Any) -> int | None:
    """num_ctx out of Ollama's list of parameters: one to a line, a name and a value."""
    for line in parameters.splitlines() if isinstance(parameters, str) else ():
        match line.split():
            case ["num_ctx", value] if value.isdecimal() and len(value) < 10:
                return _whole(int(value))
    return None


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: Any, most: int = _MOST) -> int | None:
    return value if type(value) is int and 0 < value < most else None
