"""Plain values (as TOML gives them) into attrs classes: strict about types, and exact about what is wrong and where.

Built on cattrs, with two differences. No value is coerced (no "8000" for 8000, no true for 1), and every failure
becomes one `SettingsError` of one line, which never shows a value that is text, since that text may be a secret.
"""

from __future__ import annotations

import difflib
import hmac
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import GenericAlias
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import attrs
from cattrs import ClassValidationError, Converter, IterableValidationError, StructureHandlerNotFoundError
from cattrs.cols import (
    homogenous_tuple_structure_factory,
    is_mapping,
    list_structure_factory,
    mapping_structure_factory,
)
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from lightphon_core.errors import SettingsError
from lightphon_core.money import Amount, Cents, MoneyError, parse_euros, parse_sats

T = TypeVar("T")


class Secret:
    """Text that must not be seen: repr and str hide it, `reveal()` gives it."""

    # No attrs class: those have fields, which would be settings of their own.
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('...')"

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self._text.encode(), other.reveal().encode()) if isinstance(other, Secret) else False

    def __hash__(self) -> int:
        return hash(self._text)


def expanded(path: str | Path) -> Path:
    """`path` with a `~` at its start written out, where there is such a home; as it is where there is none."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path.expanduser raises where there is none


def is_internal(attribute: attrs.Attribute[Any]) -> bool:
    """Whether the program itself fills in this field, so that no file and no variable may."""
    return bool(attribute.metadata.get("internal"))


def plain_prefix(attribute: attrs.Attribute[Any]) -> str | None:
    """What the variables of this field begin with, where they have names of their own: "OPENCLAW" for OPENCLAW_PRICE.
    Such a field of a plugin's settings is a class of settings, or None where none of its variables is set; no file sets
    it."""
    prefix: str | None = attribute.metadata.get("variables")
    return prefix


def structure(
    values: Mapping[str, Any],
    cls: type[T],
    *,
    environ: Mapping[str, str],
    directory: Path,
    where: Callable[[Sequence[str]], str],
) -> T:
    """An instance of the attrs class `cls`, made of `values`.

    Where text is asked for, `{env = "NAME"}` and `{file = "PATH"}` stand for what `environ` and that file hold.
    Relative paths start at `directory`. `where` puts the path of a key in `values` into words, for messages.

    Raises:
        SettingsError: about the first value that is wrong, as "<where> <what>."
    """
    try:
        return _converter(environ, directory).structure(values, cls)
    except (ClassValidationError, IterableValidationError) as error:
        path, problem = _first_problem(error, ())
        # Not chained: the chain holds the values that were refused.
        raise SettingsError(
            f"{where(path)} {problem.removesuffix('.')}{'' if problem.endswith('?') else '.'}"
        ) from None


def _converter(environ: Mapping[str, str], directory: Path) -> Converter:
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)

    def text(value: object) -> str:
        return value if isinstance(value, str) else _referred(value, environ, directory)

    def member(value: object, cls: Any) -> Any:
        return cls(_choice(text(value) if issubclass(cls, str) else value, [each.value for each in cls]))

    def path(value: object) -> Path:
        return value if isinstance(value, Path) else directory / expanded(text(value))

    def unordered(value: object, cls: Any) -> frozenset[Any]:
        ordered: Any = GenericAlias(tuple, (get_args(cls)[0], ...))
        return frozenset(converter.structure(value, ordered))

    converter.register_structure_hook(bool, lambda value, _: _exactly(bool, value))
    converter.register_structure_hook(int, lambda value, _: _exactly(int, value))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    # cattrs looks classes up first, so a StrEnum comes here, and any other Enum to its own hook.
    converter.register_structure_hook(str, lambda value, cls: member(value, cls) if _is_enum(cls) else text(value))
    converter.register_structure_hook(Enum, member)
    converter.register_structure_hook(Path, lambda value, _: path(value))
    converter.register_structure_hook(Secret, lambda value, _: Secret(text(value)))
    converter.register_structure_hook_func(lambda cls: cls is Amount, lambda value, _: _amount(value, text, parse_sats))
    converter.register_structure_hook_func(lambda cls: cls is Cents, lambda value, _: _amount(value, text, parse_euros))
    converter.register_structure_hook_func(_has_origin(Literal), lambda value, cls: _choice(value, get_args(cls)))
    converter.register_structure_hook_func(_has_origin(frozenset), unordered)
    converter.register_structure_hook_factory(is_mapping, _guarded(mapping_structure_factory, Mapping))
    converter.register_structure_hook_factory(attrs.has, _guarded(_class_hook, Mapping))
    converter.register_structure_hook_factory(_has_origin(list), _guarded(list_structure_factory, list))
    converter.register_structure_hook_factory(_is_sequence, _guarded(homogenous_tuple_structure_factory, list))
    return converter


def _has_origin(origin: Any) -> Callable[[Any], bool]:
    return lambda cls: get_origin(cls) is origin


def _is_sequence(cls: Any) -> bool:
    return get_origin(cls) is Sequence or (get_origin(cls) is tuple and get_args(cls)[-1] is ...)


def _is_enum(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Enum)


def _guarded(factory: Callable[..., Any], kind: type) -> Any:
    """`factory`, whose hooks first look at the value's own type: cattrs would take "abc" for a list of three."""

    def guarded(cls: Any, converter: Converter) -> Any:
        inner = factory(cls, converter)

        def hook(value: object, _: object) -> Any:
            if not isinstance(value, kind):
                raise _wrong(kind, value)
            return inner(value, cls)

        return hook

    return guarded


def _class_hook(cls: type[Any], converter: Converter) -> Any:
    internal = {a.name: override(omit=True) for a in attrs.fields(cls) if is_internal(a)}
    return make_dict_structure_fn(cls, converter, **internal)  # type: ignore[arg-type]  # its options are keywords too


class _Refusal(ValueError):
    """Why a value cannot be used, in words that do not show it."""


_NUMBERS = {bool: "true or false", int: "a whole number", float: "a number"}
_KINDS = {**_NUMBERS, str: "text", list: "a list", Mapping: "a table"}


def _wrong(kind: type, value: object) -> _Refusal:
    is_a = next((words for type_, words in _KINDS.items() if isinstance(value, type_)), "a date or time")
    return _Refusal(f"must be {_KINDS[kind]}, not {is_a}")


def _amount(value: object, text: Callable[[object], str], parse: Callable[[str], int]) -> int:
    """An amount of money in its smallest unit. A TOML float is refused: 0.1 is none in binary."""
    if type(value) is float:
        raise _Refusal(f'must be a whole number or text: write "{value}"')
    try:
        return parse(str(value) if type(value) is int else text(value))
    except MoneyError as error:
        raise _Refusal(f"cannot be: {error}") from None


def _exactly(kind: type[T], value: object) -> T:
    # Not isinstance alone: a bool is an int to Python.
    if type(value) is not kind:
        raise _wrong(kind, value)
    return value


def _number(value: object) -> float:
    if type(value) is not int and type(value) is not float:
        raise _wrong(float, value)
    if not math.isfinite(value):
        raise _Refusal("must be a finite number")
    return float(value)


def _choice(value: object, choices: Sequence[Any]) -> Any:
    if value not in choices:
        raise _Refusal(f"must be one of {', '.join(map(repr, choices))}")
    return value


def _referred(value: object, environ: Mapping[str, str], directory: Path) -> str:
    """The text that `{env = "NAME"}` or `{file = "PATH"}` stands for. A last line break of a file does not count."""
    match value:
        case {"env": str(name), **rest} if not rest:
            if not (text := environ.get(name)):
                raise _Refusal(f"refers to the environment variable {name}, which is not set")
            return text
        case {"file": str(name), **rest} if not rest:
            file = directory / expanded(name)
            try:
                text = file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise _Refusal(f"refers to the file {file}, which cannot be read: {reason}") from None
            if not text:
                raise _Refusal(f"refers to the file {file}, which is empty")
            return text
        case {}:
            raise _Refusal('must be text, or a reference: {env = "NAME"} or {file = "PATH"}')
    raise _wrong(str, value)


def _first_problem(error: BaseException, path: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The path of the first value that is wrong, and what is wrong with it, in words."""
    if isinstance(error, ClassValidationError):
        attributes, bare = error.group_exceptions()
        for cause in bare:  # a misspelt key first: it also explains why another one is missing
            if isinstance(cause, ForbiddenExtraKeysError):
                key = min(cause.extra_fields)
                if tables := _tables_with(key, cause.cl):
                    return (*path, key), f"is not a setting here, but in {' and '.join(tables)}"
                known = [a.name for a in attrs.fields(cause.cl) if not is_internal(a) and not plain_prefix(a)]
                return (*path, key), unknown_key(key, known)
        for cause, note in attributes:
            return _first_problem(cause, (*path, note.name))
        return _validator_problem(bare[0], error.cl, path)
    if isinstance(error, IterableValidationError):
        elements, others = error.group_exceptions()
        for cause, element in elements:
            return _first_problem(cause, (*path, str(element.index)))
        return _first_problem(others[0], path)
    if isinstance(error, KeyError):
        return path, "is missing"
    if isinstance(error, StructureHandlerNotFoundError):
        return path, f"has a type that settings cannot have: {error.type_}"
    return path, str(error) if isinstance(error, _Refusal) else f"is wrong ({type(error).__name__})"


def _tables_with(key: str, cls: type[Any]) -> list[str]:
    """The tables of a class that have a setting of this name: "[server]"."""
    kinds = {name: kind for name, kind in get_type_hints(cls).items() if attrs.has(kind)}
    return [f"[{name}]" for name, kind in kinds.items() if key in attrs.fields_dict(kind)]


def _validator_problem(error: Exception, cls: type[Any], path: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """attrs' own validators name the field first ("'port' must be >= 0: -1"), and only their words say which it was."""
    found = re.fullmatch(r"(?:Length of )?'(\w+)' (.*)", str(error), re.DOTALL)
    if found and found[1] in attrs.fields_dict(cls):
        return (*path, found[1]), found[2]
    return path, f"is wrong: {error}"


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on a name that is not among the `known` ones: the likeliest of them, where one is close."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "."


def unknown_key(key: str, known: Sequence[str]) -> str:
    """What is wrong with a key that nobody asked for, with the likeliest of the `known` ones."""
    if (likeliest := meant(key, known)) != ".":
        return f"is not a setting{likeliest}"
    return (
        f"is not a setting; there are {', '.join(sorted(known))}" if known else "is not a setting; there are none here"
    )
