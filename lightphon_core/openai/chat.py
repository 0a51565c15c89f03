"""What the gateway reads of a chat completion request: its shape, what it needs, and which tools it offers."""

from typing import Annotated, Any, Final, Literal

import msgspec
from attrs import field, frozen
from msgspec import Meta, Struct

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.body import typed
from lightphon_core.openai.route import Name
from lightphon_core.openai.selection import OPENING_CHARS, Opening, Selecting, Selection, selection_of, session_of
from lightphon_core.types import Capability

MAX_CHOICES: Final = 8
"""The most that `n` may ask for."""

_MAX_WINDOW = 65_536  # tokens; llama.cpp allocates what these two fields say

ALLOWED: Final = {
    "role": "system, developer, user, assistant, tool, function",
    "detail": "auto, low, high",
}
"""The values of enumerated fields, for error messages."""

_Number = Annotated[float, Meta(ge=-2, le=2)]
_Window = Annotated[int, Meta(ge=-1, le=_MAX_WINDOW)]


class _ImageUrl(Struct):
    url: str
    detail: str | None = None


class _Part(Struct):
    type: Literal["text", "image_url", "input_audio", "refusal", "file"]
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | None = None


class _FunctionCall(Struct):
    name: str
    arguments: str


class _ToolCall(Struct):
    function: _FunctionCall
    type: Literal["function"] = "function"


class _Message(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _FunctionCall | None = None
    refusal: str | None = None


class _Function(Struct):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct):
    type: Literal["function"]
    function: _Function


class _JsonSchema(Struct):
    schema: dict[str, Any] | None = None
    name: str | None = None


class _ResponseFormat(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Chat(Selecting, kw_only=True):
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Function] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: _ResponseFormat | None = None
    json_schema: dict[str, Any] | None = None
    grammar: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: _Number | None = None
    frequency_penalty: _Number | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, float | bool] | list[Any] | None = None
    repeat_last_n: _Window | None = None
    dry_penalty_last_n: _Window | None = None


KNOWN: Final = frozenset(_Chat.__struct_fields__)
"""The fields that are checked here."""

_chat = msgspec.json.Decoder(_Chat)
_raw_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")
_FUNCTION_FIELDS = ("functions", "function_call")
_IMAGE_START = ("data:image/", "https://", "http://")


@frozen
class Prompt:
    """How much there is to read: bytes of text in the messages (UTF-8), bytes of JSON that tools and their past calls
    take, and the number of messages and of images."""

    text_bytes: int
    tool_bytes: int
    messages: int
    images: int


@frozen
class Facts:
    """What a chat request asks for. `tools` are the names of the functions that the model may call, `session` as in
    `selection.session_of`."""

    selection: Selection
    session: bytes | None = field(repr=False)
    stream: bool
    include_usage: bool
    n: int
    tools: frozenset[str]
    capabilities: frozenset[Capability]
    prompt: Prompt


def inspect(body: bytes, fields: dict[str, bytes], session_id: str | None = None) -> Facts:
    """Check a chat request. `fields` are its members without the nulls; those that must change are changed in place:
    empty tool lists leave, `developer` messages become `system` ones, since chat templates know no other word for it.
    `session_id` is that of the header.

    Raises:
        InvalidRequest: Something that is looked at is missing, of a wrong type, or out of its range.
    """
    for name, instead in (("model", "models"), ("messages", "messages")):
        if name not in fields and instead not in fields:
            raise InvalidRequest(f"Missing required parameter: '{name}'.", param=name)
    chat = typed(body, _chat, ALLOWED)
    prompt, developer = _read(chat.messages, sum(len(fields.get(name, b"")) for name in ("tools", "functions")))
    if developer:
        fields["messages"] = _with_system(fields["messages"])
    if chat.response_format and chat.response_format.type == "json_schema" and chat.response_format.json_schema is None:
        param = "response_format.json_schema"
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param)
    return Facts(
        selection=selection_of(chat),
        session=session_of(chat, session_id, _opening(chat.messages)),
        stream=bool(chat.stream),
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        n=chat.n or 1,
        tools=_offered(chat, fields),
        capabilities=_needed(chat, prompt),
        prompt=prompt,
    )


def _needed(chat: _Chat, prompt: Prompt) -> frozenset[Capability]:
    """What whoever serves the request must be able to do."""
    needed = {Capability.CHAT}
    if prompt.images:
        needed.add(Capability.VISION)
    if chat.tools or chat.functions:
        needed.add(Capability.TOOLS)
    # An engine that keeps an answer to a schema does so by a grammar.
    if chat.json_schema is not None or chat.grammar is not None:
        needed.add(Capability.JSON)
    if chat.response_format is not None and chat.response_format.type != "text":
        needed.add(Capability.JSON)
    if chat.logprobs or chat.top_logprobs is not None:
        needed.add(Capability.LOGPROBS)
    if chat.n is not None and chat.n > 1:
        needed.add(Capability.CHOICES)
    return frozenset(needed)


def _offered(chat: _Chat, fields: dict[str, bytes]) -> frozenset[str]:
    """The functions that the model may call: none where the choice is "none"."""
    names: set[str] = set()
    if not chat.tools:
        for name in _TOOL_FIELDS:
            fields.pop(name, None)
    elif chat.tool_choice != "none":
        names.update(tool.function.name for tool in chat.tools)
    if not chat.functions:
        for name in _FUNCTION_FIELDS:
            fields.pop(name, None)
    elif chat.function_call != "none":
        names.update(function.name for function in chat.functions)
    return frozenset(names)


def _read(messages: list[_Message], tool_bytes: int) -> tuple[Prompt, bool]:
    """What there is to read, and whether there is a developer message. `tool_bytes` are those of the tools offered."""
    text_bytes = images = 0
    developer = False
    for at, message in enumerate(messages):
        if message.role == "developer":
            developer = True
        for call in message.tool_calls or ():
            tool_bytes += len(call.function.name) + _utf8_length(call.function.arguments)
        content = message.content
        if type(content) is str:
            text_bytes += _utf8_length(content)
        elif type(content) is list:
            for part_at, part in enumerate(content):
                if part.type == "text" or part.type == "refusal":
                    text_bytes += _utf8_length(_text(part, at, part_at))
                else:
                    _check_media(part, at, part_at)
                    images += 1
        elif message.role != "assistant":
            raise InvalidRequest(
                f"Missing required parameter: 'messages[{at}].content'.", param=f"messages[{at}].content"
            )
        elif not (message.tool_calls or message.function_call or message.refusal):
            param = f"messages[{at}].content"
            raise InvalidRequest(f"'{param}' is required where the assistant called no tool.", param=param)
    return Prompt(text_bytes, tool_bytes, len(messages), images), developer


def _opening(messages: list[_Message]) -> tuple[Opening, Opening]:
    """What the system says first, and the user."""
    system = user = None
    for message in messages:
        if message.role == "user":
            user = user or message
        elif message.role == "system" or message.role == "developer":
            system = system or message
        if system and user:
            break
    return _start(system), _start(user)


def _start(message: _Message | None) -> Opening:
    """Its text. The same whether it is a string or in parts, as clients write now this and now that."""
    if message is None or message.content is None:
        return 0, ""
    if isinstance(message.content, str):
        return len(message.content), message.content
    texts = [part.text or part.refusal or (part.image_url.url if part.image_url else "") for part in message.content]
    return sum(map(len, texts)), "".join(text[:OPENING_CHARS] for text in texts)


def _text(part: _Part, at: int, part_at: int) -> str:
    text = part.text if part.type == "text" else part.refusal
    if text is None:
        param = f"messages[{at}].content[{part_at}].{part.type}"
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param)
    return text


def _check_media(part: _Part, at: int, part_at: int) -> None:
    param = f"messages[{at}].content[{part_at}]"
    if part.type != "image_url":
        # No capability stands for these yet, so no offer can claim it; an engine answers them with a fault of its own.
        raise InvalidRequest(f"'{param}': no model here takes content of type {part.type}.", param=f"{param}.type")
    if part.image_url is None:
        raise InvalidRequest(f"Missing required parameter: '{param}.image_url'.", param=f"{param}.image_url")
    if not part.image_url.url.startswith(_IMAGE_START) or part.image_url.url in _IMAGE_START:
        message = f"'{param}.image_url.url' must be a data: URI of an image, or an http(s) URL."
        raise InvalidRequest(message, param=f"{param}.image_url.url")


def _utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _with_system(messages: bytes) -> bytes:
    """The same messages, with the role `system` where it was `developer`."""
    system = msgspec.Raw(b'"system"')
    decoded = _raw_messages.decode(messages)
    for message in decoded:
        if msgspec.json.decode(message["role"]) == "developer":
            message["role"] = system
    return msgspec.json.encode(decoded)
