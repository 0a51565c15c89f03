"""JSON bodies as clients send them: an object's members in their own bytes, and typed views with errors for people."""

import json
import re
from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.suggestions import accepted, meant

T = TypeVar("T")

MAX_FIELDS = 256
"""More members than this at the top level are not a request. Bounds the time that one body may take."""
MAX_BESIDE_BYTES = 1_048_576
"""What a body may have beside the text that a model is to read: tools of this size fill any context. JSON of nothing
but brackets takes up to 25 times its size in memory, and nobody else is served while it is decoded."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KEY = re.compile(rb'[ \t\n\r]*"[^"\\]*(?:\\.[^"\\]*)*"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_NEXT = re.compile(rb"[ \t\n\r]*([,}])")
_SHOWN_PATH = 100
_NUMBERS = re.compile(rb"[ \t\n\r]*\[[ \t\n\r]*[-0-9[]")
_TOKEN = re.compile(r"[^ \t\n\r]")
_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
    "decimal": "a decimal number",
}
_EXPECTED = {
    "Invalid RFC3339 encoded date": "Expected a day, such as 2026-01-31.",
    "Invalid decimal string": "Expected a decimal number, such as 12.5.",
}


def object_fields(body: bytes, text: "msgspec.json.Decoder[Struct] | None" = None) -> dict[str, bytes]:
    """The members of the JSON object that `body` is: each value as its own bytes, in the order of the text. `text`
    reads those, as they are, that may be longer than `MAX_BESIDE_BYTES`; without it whoever calls bounds the body.

    Raises:
        InvalidRequest: `body` is empty, not UTF-8, not JSON, not an object, nested too deeply, has too much beside the
            text, or has a key twice.
    """
    problem = ""
    try:
        if not body.strip():
            problem = "The body is empty; a JSON object is needed."
        else:
            body.decode()  # msgspec does not look into the strings of a Raw value
            if text is not None and _beside(body, text) > MAX_BESIDE_BYTES:
                problem = (
                    f"The body has more than {MAX_BESIDE_BYTES} bytes beside messages, prompt or input: fields that "
                    "are too long, or too many."
                )
            else:
                raw = _members.decode(body)
    except UnicodeDecodeError as error:
        problem = f"The body is not valid UTF-8 (byte {error.start})."
    except msgspec.ValidationError:
        problem = "The body must be a JSON object."
    except msgspec.DecodeError as error:
        what = str(error).removeprefix("JSON is malformed: ").replace("Input data was truncated", "it ends too early")
        problem = f"The body is not valid JSON: {what}."
    except RecursionError:
        problem = "The body is nested too deeply."
    if problem:  # raised out here, so that no exception with the body in it hangs on to this one
        raise InvalidRequest(problem)
    if len(raw) > MAX_FIELDS:
        raise InvalidRequest(f"The body has more than {MAX_FIELDS} fields.")
    fields = {name: bytes(value) for name, value in raw.items()}
    if not _is_whole(body, fields.values()):
        if len(body) > MAX_BESIDE_BYTES:
            raise InvalidRequest("A field of the body is given twice.")
        name = _repeated(body)
        raise InvalidRequest(f"The field {name!r} is given twice.", param=name)
    return fields


def _beside(body: bytes, text: "msgspec.json.Decoder[Struct]") -> int:
    """Bytes of the body beside the text, where those may be too many. All else is skipped, and takes no memory."""
    if len(body) <= MAX_BESIDE_BYTES:
        return 0
    read = text.decode(body)
    return len(body) - sum(memoryview(getattr(read, name)).nbytes for name in read.__struct_fields__)


def is_in_tokens(raw: bytes) -> bool:
    """Whether a text is given as numbers, or several texts as lists of them, and not as text."""
    return _NUMBERS.match(raw) is not None


def _is_whole(body: bytes, values: Collection[bytes]) -> bool:
    """Whether the values, one after the other, are those of all the members in the object's text.

    They are not where a key is repeated: the dictionary then has fewer values, and one of them in another's place. As
    long as each value is found where a member has its own, the next position is the true start of a member, whatever
    the strings before it hold. Costs a few microseconds: the values are compared as memory.
    """
    at = body.index(b"{") + 1
    last = b"," if values else b"}"
    for value in values:
        key = _KEY.match(body, at)
        if key is None or not body.startswith(value, key.end()):
            return False
        after = _NEXT.match(body, key.end() + len(value))
        if after is None:  # a longer number
            return False
        last = after[1]
        at = after.end()
    return last == b"}"


def _repeated(body: bytes) -> str:
    """The first key that the object of `body`, which is valid JSON, has twice."""
    text = body.decode()
    read = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode  # no number is converted: some are huge
    seen: set[str] = set()
    at = text.index("{") + 1
    while True:
        name, at = read(text, _next(text, at))
        if name in seen:
            return str(name)
        seen.add(name)
        _, at = read(text, _next(text, text.index(":", at) + 1))
        at = text.index(",", at) + 1


def _next(text: str, at: int) -> int:
    """Where the next token starts, at `at` or after it."""
    token = _TOKEN.search(text, at)
    return token.start() if token else len(text)


def typed(raw: bytes, decoder: "msgspec.json.Decoder[T]", allowed: Mapping[str, str], *, param: str = "") -> T:
    """`raw` as the decoder's type.

    `allowed` says in words which values an enumerated field takes, by its name, or by its path without indices where
    others have the name too. `param` is the path that the
    whole of `raw` has in the request.

    Raises:
        InvalidRequest: With `param` as the path to the value at fault, such as "messages[0].content".
    """
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        problem = str(error)
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    raise explained(problem, param, allowed, decoder.type)


def explained(
    problem: str, param: str = "", allowed: Mapping[str, str] | None = None, kind: object = None
) -> InvalidRequest:
    """The error that msgspec's words for a problem are to a client. `allowed` and `param` as for `typed`; `kind` is the
    type that was wanted."""
    match = _PROBLEM.fullmatch(problem)
    what, path = (match["what"], match["path"] or "") if match else (problem, "")
    inside = path
    path = (f"{param}.{path}" if path and param else path or param).removesuffix("[...]")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        path = f"{path}.{missing[1]}" if path else missing[1]
        return InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        path = f"{path}.{unknown[1]}" if path else unknown[1]
        message = f"Unknown parameter: {path[:_SHOWN_PATH]!r}.{meant(kind, inside, unknown[1])}"
        return InvalidRequest(message, param=path[:_SHOWN_PATH])
    if what in _EXPECTED:
        what = _EXPECTED[what]
    elif what.startswith("Expected"):
        what = re.sub(r"`([^`]+)`", lambda found: _in_words(found[1]), what) + "."
    else:  # msgspec would repeat the value, which is the client's own text
        allowed, name = allowed or {}, re.sub(r"\[[^]]*\]", "", path)
        expected = allowed.get(name) or allowed.get(name.rpartition(".")[2]) or accepted(kind, inside)
        what = f"It must be one of: {expected}." if expected else "The value is not one that is accepted here."
    return InvalidRequest(f"Invalid value for '{path}'. {what}" if path else what, param=path or None)


def _in_words(types: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types.split(" | "))
