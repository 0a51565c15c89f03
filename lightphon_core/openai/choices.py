"""What one choice of a chunk may hold. Each check takes decoded JSON and raises `BadChunk`.

`check_chat`, `check_text` and `check_infill` are for the endpoints: they take a choice, how many there may be, and the
functions that may be called.
"""

from typing import Any, Final

FINISH_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_CALLING = frozenset({"tool_calls", "function_call"})
_TEXT = frozenset({"content", "reasoning_content", "reasoning", "refusal"})
_DELTA = _TEXT | {"role", "tool_calls", "function_call", "audio"}
_CHAT_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_TEXT_CHOICE = frozenset({"index", "text", "finish_reason", "logprobs"})
_OUTPUTS = frozenset({"delta", "message", "text"})  # where the answers of one endpoint or another have their output
_TOOL_CALL = frozenset({"index", "id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})
_STRING = (str, type(None))
_MAX_TOOL_CALLS = 1_024


class BadChunk(ValueError):
    """An event that no honest backend sends. The message says what was wrong, and repeats nothing of it."""


Seen = tuple[int, bool, bool]
"""The bytes of a choice's text, whether it carries output, and whether something in it was changed."""


def check_chat(choice: dict[str, Any], n: int, tools: frozenset[str]) -> Seen:
    """A choice of a chat."""
    mended = _check_choice(choice, n, _CHAT_CHOICE)
    if choice.get("delta") is None:
        choice["delta"] = {}
        mended = True
    text_bytes, has_output, changed = _check_delta(choice["delta"], tools)
    if (reason := choice.get("finish_reason")) is not None:
        _check_finish_reason(reason, tools)
    return text_bytes, has_output, mended or changed


def check_text(choice: dict[str, Any], n: int, tools: frozenset[str]) -> Seen:
    """A choice of a plain completion."""
    mended = _check_choice(choice, n, _TEXT_CHOICE)
    if choice.get("text") is None:
        choice["text"] = ""
        mended = True
    if (reason := choice.get("finish_reason")) is not None:
        _check_finish_reason(reason, tools)
    if isinstance(logprobs := choice.get("logprobs"), dict) and isinstance(logprobs.get("content"), list):
        choice["logprobs"] = _legacy(logprobs["content"])
        mended = True
    text_bytes = _length(choice["text"])
    return text_bytes, text_bytes > 0, mended


def check_infill(choice: dict[str, Any], n: int, tools: frozenset[str]) -> Seen:
    """A choice of a plain completion, which becomes one of a chat. It has a content always, as Mistral's do: Continue
    adds up what it finds there, looking or not."""
    text_bytes, has_output, _ = check_text(choice, n, tools)
    choice["delta"] = {"content": choice.pop("text")}
    return text_bytes, has_output, True


def _check_choice(choice: dict[str, Any], n: int, known: frozenset[str]) -> bool:
    """Check a choice but for its output and finish reason. True if something in it had to be mended."""
    mended = False
    if not choice.keys() <= known:
        for name in choice.keys() - known:
            _screen(name, known)
            if name.casefold() in _OUTPUTS:
                del choice[name]
                mended = True
    index = choice.get("index")
    if type(index) is not int or not 0 <= index < n:
        raise BadChunk("A choice has no index, or one that was not asked for.")
    logprobs = choice.get("logprobs")
    if logprobs is not None and type(logprobs) is not dict:
        raise BadChunk("Log probabilities are not an object.")
    if choice.get("finish_reason") == "":  # some servers write "not yet" so
        choice["finish_reason"] = None
        mended = True
    return mended


def _check_delta(delta: object, tools: frozenset[str]) -> Seen:
    if type(delta) is not dict:
        raise BadChunk("A delta is not an object.")
    text_bytes = 0
    has_output = mended = False
    for name, value in delta.items():
        if name in _TEXT:
            if value is not None and value != "":
                text_bytes += _length(value)
                has_output = True
        elif name == "role":
            if value != "assistant":  # other names for it, or null
                delta[name] = "assistant"
                mended = True
        elif name not in _DELTA:
            _screen(name, _DELTA)
        elif value is not None and value != []:
            has_output = True
            if name == "tool_calls":
                text_bytes += _tool_calls(value, tools)
            elif name == "function_call":
                text_bytes += _function(value, tools)
    return text_bytes, has_output, mended


def _check_finish_reason(reason: object, tools: frozenset[str]) -> None:
    if type(reason) is not str or reason not in FINISH_REASONS or (reason in _CALLING and not tools):
        raise BadChunk("A finish reason is unknown, or does not fit the request.")


def _legacy(tokens: list[Any]) -> dict[str, Any]:
    """Log probabilities as plain completions have them, from those of a chat, which llama.cpp sends for both. Without
    offsets into the text: nobody counted them."""
    listed = [each for each in tokens if type(each) is dict]
    return {
        "tokens": [each.get("token") for each in listed],
        "token_logprobs": [each.get("logprob") for each in listed],
        "top_logprobs": [
            {top["token"]: top.get("logprob") for top in _listed(each.get("top_logprobs")) if _is_token(top)}
            for each in listed
        ],
        "text_offset": [],
    }


def _listed(value: object) -> list[Any]:
    return value if type(value) is list else []


def _is_token(top: object) -> bool:
    return type(top) is dict and type(top.get("token")) is str


def _length(value: object) -> int:
    if type(value) is not str:
        raise BadChunk("Text is not a string.")
    return len(value) if value.isascii() else len(value.encode())


def _screen(name: str, known: frozenset[str]) -> None:
    """Refuse a name that some clients, Go's decoder among them, would take for a known one that was checked."""
    if name.casefold() in known:
        raise BadChunk("The name of a field differs from a known one in case.")


def _tool_calls(calls: object, tools: frozenset[str]) -> int:
    """Check the pieces of tool calls that a delta carries; returns their bytes of text."""
    if type(calls) is not list or not tools:
        raise BadChunk("Tool calls that were not offered, or are not a list.")
    size = 0
    for call in calls:
        if type(call) is not dict:
            raise BadChunk("A tool call is not an object.")
        index = call.get("index")
        if type(index) is not int or not 0 <= index < _MAX_TOOL_CALLS:
            raise BadChunk("A tool call has no index, or too large a one.")
        if call.get("type", "function") not in ("function", "", None) or type(call.get("id", "")) not in _STRING:
            raise BadChunk("A tool call is not one of a function.")
        for name in call.keys() - _TOOL_CALL:
            _screen(name, _TOOL_CALL | {"custom"})
        if (function := call.get("function")) is not None:
            size += _function(function, tools)
    return size


def _function(function: object, tools: frozenset[str]) -> int:
    """Check a piece of a function call. Its name comes whole, in the first piece; the later ones have none."""
    if type(function) is not dict:
        raise BadChunk("A function call is not an object.")
    for key in function.keys() - _FUNCTION:
        _screen(key, _FUNCTION)
    name, arguments = function.get("name"), function.get("arguments")
    if type(name) not in _STRING or type(arguments) not in _STRING or (name and name not in tools):
        raise BadChunk("A call of a function that was not offered, or in a wrong shape.")
    return _length(name or "") + _length(arguments or "")
