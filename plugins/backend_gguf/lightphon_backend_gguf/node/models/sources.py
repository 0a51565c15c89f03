"""Where a model can come from, as the command line and the settings file write it. Pure."""

import re
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from lightphon_backend_gguf.node.models.file_names import quantization_in

HUB = "hf:"
SERVER = "openai:"

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_QUANTIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*\.gguf", re.IGNORECASE)


class SourceError(ValueError):
    """A text names no source. The message is one line for the operator."""


@frozen
class LocalSource:
    """A GGUF file, or a folder of them, on this machine."""

    path: Path


@frozen
class HubSource:
    """A model in a repository of the Hugging Face hub: the file named `file`, or the one of a quantization, or the
    only one there."""

    repository: str
    quantization: str | None = None
    file: str | None = None


@frozen
class ServerSource:
    """A server on this machine that speaks OpenAI's API; its only model, or the one it calls `model`."""

    url: str
    model: str | None = None


Source: TypeAlias = LocalSource | HubSource | ServerSource


def parse_source(text: str, *, folder: Path | None = None) -> Source:
    """What a MODEL means. A relative path starts at `folder`, by default where the program runs.

    Whether the thing is there is not looked at. Raises SourceError.
    """
    if text.startswith(HUB):
        return _hub(text)
    if text.startswith(SERVER):
        url, _, model = text.removeprefix(SERVER).partition("#")
        return ServerSource(url, model or None)
    if not text:
        raise SourceError("a model cannot be an empty text")
    path = Path(text).expanduser()
    return LocalSource(path if folder is None else folder / path)


def _hub(text: str) -> HubSource:
    rest = text.removeprefix(HUB)
    name, colon, quantization = rest.partition(":")
    if colon:
        if _REPOSITORY.fullmatch(name) and _QUANTIZATION.fullmatch(quantization):
            return HubSource(name, quantization=quantization)
    elif _REPOSITORY.fullmatch(rest):
        return HubSource(rest)
    else:
        owner, _, below = rest.partition("/")
        repository, _, file = below.partition("/")
        if _REPOSITORY.fullmatch(f"{owner}/{repository}") and _FILE.fullmatch(file):
            return HubSource(f"{owner}/{repository}", file=file, quantization=quantization_in(file))
    raise SourceError(f"{text!r} is not hf:OWNER/REPOSITORY:QUANTIZATION or hf:OWNER/REPOSITORY/FILE.gguf")
