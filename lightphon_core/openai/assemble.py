"""The unstreamed answer, put together from the chunks of a stream."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import msgspec

from lightphon_core.openai.chunks import Chunk, Envelope, extras
from lightphon_core.openai.forms import CHAT, TEXT, Form

_MAX_DEPTH = 32  # of unknown objects that are merged member by member; below that the last one wins
_WHOLE = frozenset({"id", "type", "name", "index", "role"})  # come in one piece; the first one counts


class AnswerTooLarge(ValueError):
    """The backend has sent more than an answer may hold."""


class Assembler:
    """Collects the chunks of one answer. Linear in what it is fed; it holds at most `limit` bytes of JSON.

    Text and unknown strings are concatenated, lists are extended, objects are merged member by member, tool calls by
    their index; of anything else the last one counts, and null never replaces a value.
    """

    def __init__(self, form: Form = CHAT, limit: int = 67_108_864) -> None:
        self._choice: type[_Choice] = _TextChoice if form is TEXT else _ChatChoice
        self._left = limit
        self._choices: dict[int, _Choice] = {}

    def feed(self, chunk: Chunk) -> None:
        """Add a chunk, whose decoded values are not to be used elsewhere afterwards.

        Raises:
            AnswerTooLarge: It is more than the limit allows.
        """
        self._left -= len(chunk.encoded)
        if self._left < 0:
            raise AnswerTooLarge("The answer is too large.")
        for choice in chunk.choices:
            index = choice["index"]
            if index not in self._choices:
                self._choices[index] = self._choice()
            self._choices[index].add(choice)

    def finish(
        self,
        envelope: Envelope,
        usage: Mapping[str, object] | None = None,
        routing_info: Mapping[str, object] | None = None,
    ) -> bytes:
        """The answer as one JSON object. `usage` and `routing_info` are as for `chunks.write`."""
        answer = {
            "id": envelope.id,
            "object": envelope.form.whole,
            "created": envelope.created,
            "model": envelope.model,
            "choices": [self._choices[index].whole(index) for index in sorted(self._choices)],
        }
        return msgspec.json.encode(answer)[:-1] + extras(usage, routing_info) + b"}"


class _Choice(ABC):
    """One choice so far: what every form has beside the output."""

    def __init__(self) -> None:
        self._finish_reason: str | None = None
        self._logprobs: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}

    def add(self, choice: dict[str, Any]) -> None:
        self._finish_reason = choice.pop("finish_reason", None) or self._finish_reason
        _merge(self._logprobs, {"logprobs": choice.pop("logprobs", None)})
        del choice["index"]
        for name, value in choice.items():
            if type(value) is str:
                self._extra[name] = value  # a word about the choice rather than a part of it
            else:
                _merge(self._extra, {name: value})

    def whole(self, index: int) -> dict[str, Any]:
        return {
            "index": index,
            **self.output(),
            "finish_reason": self._finish_reason,
            **_plain(self._logprobs),
            **_plain(self._extra),
        }

    @abstractmethod
    def output(self) -> dict[str, Any]:
        """The members that have what it says."""


class _ChatChoice(_Choice):
    """Of a chat."""

    def __init__(self) -> None:
        super().__init__()
        self._message: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, choice: dict[str, Any]) -> None:
        delta = choice.pop("delta")
        for call in delta.pop("tool_calls", None) or ():
            _merge(self._calls.setdefault(call["index"], {}), call)
        _merge(self._message, delta)
        super().add(choice)

    def output(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None} | _plain(self._message)
        if self._calls:
            message["tool_calls"] = [_tool_call(self._calls[at]) for at in sorted(self._calls)]
        if not message["content"]:
            message["content"] = None if self._calls or message.get("function_call") else ""
        return {"message": message}


class _TextChoice(_Choice):
    """Of a plain completion."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []

    def add(self, choice: dict[str, Any]) -> None:
        self._parts.append(choice.pop("text"))
        super().add(choice)

    def output(self) -> dict[str, Any]:
        return {"text": "".join(self._parts)}


class _Text:
    """A string that grows in pieces."""

    def __init__(self, first: str) -> None:
        self.parts = [first]


def _merge(into: dict[str, Any], new: dict[str, Any], depth: int = 0) -> None:
    for name, value in new.items():
        old = into.get(name)
        kind = type(value)
        if kind is str and name in _WHOLE:
            into[name] = old or value
        elif kind is str:
            if type(old) is _Text:
                old.parts.append(value)
            else:
                into[name] = _Text(value)
        elif kind is dict and depth < _MAX_DEPTH:
            if type(old) is not dict:
                old = into[name] = {}
            _merge(old, value, depth + 1)
        elif kind is list and type(old) is list:
            old.extend(value)
        elif value is not None or old is None:
            into[name] = value


def _plain(value: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """A merged object with its texts joined."""
    plain: dict[str, Any] = {}
    for name, member in value.items():
        if type(member) is _Text:
            plain[name] = "".join(member.parts)
        elif type(member) is dict and depth < _MAX_DEPTH:
            plain[name] = _plain(member, depth + 1)
        else:
            plain[name] = member
    return plain


def _tool_call(merged: dict[str, Any]) -> dict[str, Any]:
    """A tool call as unstreamed answers have it: without its index, always with a type and arguments."""
    call = _plain(merged)
    del call["index"]
    call["type"] = call.get("type") or "function"
    call["function"] = {"arguments": ""} | (call.get("function") or {})
    return call
