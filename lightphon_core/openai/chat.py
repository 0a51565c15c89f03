"""What the gateway reads of a chat completion request: its shape, what it needs, and which tools it offers."""

from collections.abc import Collection
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.body import typed
from lightphon_core.openai.facts import Facts, Prompt
from lightphon_core.openai.forms import CHAT
from lightphon_core.openai.generation import Generating, needed_for
from lightphon_core.openai.route import Name
from lightphon_core.openai.selection import OPENING_CHARS, Opening, selection_of, session_of
from lightphon_core.types import Capability

ALLOWED: Final = {
    "role": "system, developer, user, assistant, tool, function",
    "detail": "auto, low, high",
    "tools.type": "function",
}
"""The values of enumerated fields, for error messages."""


class _ImageUrl(Struct, gc=False):
    url: str
    detail: str | None = None


class _Part(Struct, gc=False):
    type: Literal["text", "image_url", "input_audio", "refusal", "file"]
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | None = None


class _FunctionCall(Struct, gc=False):
    name: str
    arguments: str


class _ToolCall(Struct, gc=False):
    function: _FunctionCall
    type: Literal["function"] = "function"


class _Message(Struct, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _FunctionCall | None = None
    refusal: str | None = None


class _Function(Struct, gc=False):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct, gc=False):
    type: Literal["function"]
    function: _Function


class _JsonSchema(Struct):
    schema: dict[str, Any] | None = None
    name: str | None = None


class _ResponseFormat(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _Chat(Generating, kw_only=True):
    messages: Annotated[list[_Message], Meta(min_length=1)]
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Function] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: _ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


KNOWN: Final = frozenset(_Chat.__struct_fields__)
"""The fields that are checked here."""

_chat = msgspec.json.Decoder(_Chat)
_raw_messages = msgspec.json.Decoder(list[msgspec.Raw])
_raw_message = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")
_FUNCTION_FIELDS = ("functions", "function_call")
_IMAGE_START = ("data:image/", "https://", "http://")
_RESPONSES = frozenset({"input", "instructions", "previous_response_id"})
"""Fields that only requests of OpenAI's Responses API have. Some clients send those to the address of a chat."""


def inspect(body: bytes, fields: dict[str, bytes], session_id: str | None = None) -> Facts:
    """Check a chat request. `fields` are its members without the nulls; those that must change are changed in place:
    empty tool lists leave, `developer` messages become `system` ones, since chat templates know no other word for it.
    `session_id` is that of the header.

    Raises:
        InvalidRequest: Something that is looked at is missing, of a wrong type, or out of its range.
    """
    if "model" not in fields and "models" not in fields:
        raise InvalidRequest("Missing required parameter: 'model'.", param="model")
    if "messages" not in fields:
        raise _without_messages(fields)
    chat = typed(body, _chat, ALLOWED)
    prompt, developer = _read(chat.messages, sum(len(fields.get(name, b"")) for name in ("tools", "functions")))
    if developer:
        fields["messages"] = _with_system(fields["messages"], chat.messages)
    if chat.response_format and chat.response_format.type == "json_schema" and chat.response_format.json_schema is None:
        param = "response_format.json_schema"
        raise InvalidRequest(f"Missing required parameter: '{param}'.", param=param)
    return Facts(
        selection=selection_of(chat),
        form=CHAT,
        capabilities=_needed(chat, prompt),
        prompt=prompt,
        session=session_of(chat, session_id, _opening(chat.messages)),
        stream=bool(chat.stream),
        include_usage=chat.includes_usage,
        n=chat.n or 1,
        tools=_offered(chat, fields),
    )


def _without_messages(fields: Collection[str]) -> InvalidRequest:
    """What is wrong with a request that has none: often it is meant for another endpoint."""
    if not _RESPONSES.isdisjoint(fields):
        return InvalidRequest(
            "This is a request of the Responses API ('input' where a chat has 'messages'), which is not served here. "
            "Set the client to the Chat Completions API, or send 'messages'.",
            param="messages",
            code="responses_api_not_supported",
        )
    hint = " A 'prompt' is for /v1/completions." if "prompt" in fields else ""
    return InvalidRequest(f"Missing required parameter: 'messages'.{hint}", param="messages")


def _needed(chat: _Chat, prompt: Prompt) -> frozenset[Capability]:
    """What whoever serves the request must be able to do."""
    needed = {Capability.CHAT} | needed_for(chat, chat.n or 1)
    if prompt.images:
        needed.add(Capability.VISION)
    if chat.tools or chat.functions:
        needed.add(Capability.TOOLS)
    if chat.response_format is not None and chat.response_format.type != "text":
        needed.add(Capability.JSON)
    if chat.logprobs or chat.top_logprobs is not None:
        needed.add(Capability.LOGPROBS)
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


def _with_system(raw: bytes, messages: list[_Message]) -> bytes:
    """The same messages, with the role `system` where it was `developer`."""
    system = msgspec.Raw(b'"system"')
    written = _raw_messages.decode(raw)
    for at, message in enumerate(messages):
        if message.role == "developer":
            written[at] = msgspec.Raw(msgspec.json.encode(_raw_message.decode(written[at]) | {"role": system}))
    return msgspec.json.encode(written)
