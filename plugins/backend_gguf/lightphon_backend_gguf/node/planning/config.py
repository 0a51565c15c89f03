"""The node's settings file: TOML, with a table `[node]` and a table `[[model]]` for each model.

What the command line says wins over it. The token is never in it: `token_file` names the file that holds it.
"""

import difflib
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import attrs
from attrs import field, frozen
from attrs.validators import ge, le, optional

T = TypeVar("T")


class ConfigError(Exception):
    """The settings, or the token's file, cannot be used. The message is one line for the operator."""


MEMORY_LIMITS_GIB = (0.125, 65536.0)
"""Between what a limit on the memory of an engine may be."""


def _between(low: float, high: float) -> Any:
    return field(default=None, validator=optional([ge(low), le(high)]))


@frozen
class ModelTable:
    """One `[[model]]`. What is left out is as `[node]` says. `memory_limit` is in GiB. `mmproj` is the model's second
    file, for images: a path, or hf:OWNER/REPOSITORY/FILE.gguf. With `embedding` a model that writes text makes vectors
    too."""

    model: str
    mmproj: str | None = None
    name: str | None = None
    price: str | None = None
    engine: str | None = None
    slots: int | None = _between(1, 1024)
    context: int | None = _between(16, 2**31 - 1)
    memory_limit: float | None = _between(*MEMORY_LIMITS_GIB)
    embedding: bool | None = None


@frozen
class NodeTable:
    """The table `[node]`: the options of `lightphon-node run`, under the same names."""

    server: str | None = None
    token_file: str | None = None
    name: str | None = None
    price: str | None = None
    engine: str | None = None
    slots: int | None = _between(1, 1024)
    context: int | None = _between(16, 2**31 - 1)
    memory_limit: float | None = _between(*MEMORY_LIMITS_GIB)
    max_jobs: int | None = _between(1, 4096)
    schedule: list[str] | None = None
    threads: int | None = _between(1, 512)
    drain_timeout: float | None = field(default=None, validator=optional([ge(0), le(86400)]))


@frozen
class NodeConfig:
    """A whole file. `folder` is where relative paths in it start."""

    node: NodeTable = NodeTable()
    models: tuple[ModelTable, ...] = ()
    folder: Path = Path()


def default_path(environ: Mapping[str, str]) -> Path:
    """The file that is read where none is named, if it exists."""
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "lightphon" / "node.toml"


def load(path: Path) -> NodeConfig:
    """Read a file. Raises ConfigError, with file, table and key, for what is unknown or wrong in it."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the settings file cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from None
    folder = path.absolute().parent
    known = {"node": dict, "model": list}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{path}: {_unknown(key, known)}.")
        if not isinstance(value, known[key]):
            raise ConfigError(f"{path}: write {'[node]' if key == 'node' else '[[model]]'} for {key}.")
    node = _table(values.get("node", {}), NodeTable, f"{path}: [node]")
    models = [
        _table(table, ModelTable, f"{path}: [[model]] number {number}")
        for number, table in enumerate(values.get("model", []), 1)
    ]
    return NodeConfig(node, tuple(models), folder=folder)


def read_token(file: Path) -> str:
    """The token in a file that nobody but its owner may read. Raises ConfigError."""
    try:
        with file.open("rb") as opened:
            # Asked of the open file, so that it is the one that is read.
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(4096)
    except OSError as error:
        raise ConfigError(f"{file}: the token's file cannot be read: {error.strerror}.") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{file}: others on this machine may read the token in it: run `chmod 600 {file}`.")
    return text.decode("utf-8", "replace").strip()


def _table(values: Any, cls: type[T], where: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must be a table.")
    hints = get_type_hints(cls)
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(f"{where} {_unknown(key, hints)}.")
        kind = next((part for part in get_args(hints[key]) if part is not type(None)), hints[key])
        # cattrs would turn a number into a text and a text into a number.
        kind = get_origin(kind) or kind
        if type(value) is list and any(type(each) is not str for each in value):
            raise ConfigError(f"{where} {key} must be {_KINDS[list]}.")
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ConfigError(f"{where} {key} must be {_KINDS[kind]}.")
    for attribute in attrs.fields(cls):  # type: ignore[arg-type]
        if attribute.default is attrs.NOTHING and attribute.name not in values:
            raise ConfigError(f"{where} has no {attribute.name}.")
    try:
        return cls(**values)
    except ValueError as error:  # of an attrs validator: "'slots' must be >= 1: 0"
        said = str(error).replace("'", "")
        raise ConfigError(f"{where} {said}.") from None


_KINDS = {bool: "true or false", str: "a text", int: "a whole number", float: "a number", list: "a list of texts"}


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    if near:
        return f"{key} is not a setting; did you mean {near[0]}"
    return f"{key} is not a setting; there are {', '.join(known)}"
