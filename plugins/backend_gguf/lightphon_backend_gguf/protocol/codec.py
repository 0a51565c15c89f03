"""Control messages as text, and JSON read strictly.

Fields that are not known are ignored, and so are messages whose type is not known: either end may be the newer one. See
`versions` for the rule.
"""

import json
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

from cattrs import Converter

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.closing import ProtocolViolation
from lightphon_backend_gguf.protocol.fields import FieldError
from lightphon_backend_gguf.protocol.messages import Message

T = TypeVar("T")

_BY_TYPE: dict[str, type[Message]] = {cls.__name__.lower(): cls for cls in get_args(Message)}


def encode(message: Message) -> str:
    """The text to send."""
    return json.dumps(
        {"type": type(message).__name__.lower(), **_converter.unstructure(message)}, separators=(",", ":")
    )


def decode(text: str) -> Message | None:
    """The message that was sent; None if its type is not known. Raises `ProtocolViolation`."""
    if len(text) > limits.TEXT_CHARACTERS:
        raise ProtocolViolation("a control message is too long")
    value = decode_object(text)
    name = value.get("type")
    if not isinstance(name, str):
        raise ProtocolViolation("a control message has no type")
    cls = _BY_TYPE.get(name)
    return None if cls is None else structure(value, cls, name)


def decode_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object, read strictly. Raises `ProtocolViolation`."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        # `from None`: the error of json holds the whole text, which may be somebody's prompt.
        raise ProtocolViolation("a message is not JSON") from None
    if not isinstance(value, dict):
        raise ProtocolViolation("a message is not a JSON object")
    return value


def structure(value: dict[str, Any], cls: type[T], name: str) -> T:
    """`value` as an instance of `cls`, every field checked. Raises `ProtocolViolation`."""
    try:
        return _converter.structure(value, cls)
    except FieldError as error:
        raise ProtocolViolation(f"{name}: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ProtocolViolation(f"{name}: a field is missing or malformed") from None


def _no_constant(_: str) -> float:
    raise FieldError("NaN and Infinity are not JSON")


def _made_of(origin: Any) -> Callable[[Any], bool]:
    def check(of: Any) -> bool:
        made_of: Any = get_origin(of)
        return bool(made_of is origin)

    return check


def _structure_tuple(value: Any, of: Any) -> tuple[Any, ...]:
    if type(value) is not list:
        raise FieldError("a list was expected")
    return tuple(_converter.structure(item, get_args(of)[0]) for item in value)


def _make_converter() -> Converter:
    """A converter that coerces nothing: validators see the values just as they came."""
    converter = Converter(detailed_validation=False)
    for plain in (str, int, float, bool):
        converter.register_structure_hook(plain, lambda value, _: value)
    converter.register_structure_hook_func(_made_of(Literal), lambda value, _: value)
    converter.register_structure_hook_func(_made_of(tuple), _structure_tuple)
    return converter


_converter = _make_converter()
