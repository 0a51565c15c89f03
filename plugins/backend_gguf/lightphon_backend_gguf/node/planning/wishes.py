"""What the operator wants served: the command line over the settings file. Pure."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

from attrs import evolve, frozen

from lightphon_backend_gguf.node.models.memory import GIB
from lightphon_backend_gguf.node.models.sources import (
    HubSource,
    LocalSource,
    ServerSource,
    Source,
    SourceError,
    parse_source,
)
from lightphon_backend_gguf.node.operator.price import parse_price
from lightphon_backend_gguf.node.planning.config import ModelTable, NodeConfig
from lightphon_backend_gguf.protocol.account import PriceMessage
from lightphon_backend_gguf.protocol.fields import is_model_id

FileSource: TypeAlias = LocalSource | HubSource

DEFAULT_SLOTS = 2


class WishError(Exception):
    """The operator's wishes are not clear, or do not fit together. The message is one line."""


@frozen
class Given:
    """What the command line says of models. None, or nothing, where it is silent. `memory_limit` is in GiB."""

    models: Sequence[str] = ()
    mmproj: str | None = None
    names: Sequence[str] = ()
    price: str | None = None
    engine: str | None = None
    slots: int | None = None
    context: int | None = None
    max_jobs: int | None = None
    memory_limit: float | None = None


@frozen
class Wish:
    """One MODEL, and how it is to be served. `slots` jobs at once, of no more than the node runs in all; `context` in
    tokens for each, None for the usual; without an `engine` the default, without a `price` the server's. An engine of
    the node's own that holds more than `memory_limit` bytes is started again; None: what fits the model. With `mmproj`,
    one file, the model takes images; with `embedding`, one that writes text makes vectors too."""

    source: Source
    name: str | None = None
    price: PriceMessage | None = None
    engine: str | None = None
    slots: int = DEFAULT_SLOTS
    context: int | None = None
    memory_limit: int | None = None
    mmproj: FileSource | None = None
    embedding: bool = False


def wishes(given: Given, config: NodeConfig) -> list[Wish]:
    """The models to serve, in order. Models of the command line replace those of the file. Raises WishError."""
    tables = [ModelTable(model) for model in given.models] or list(config.models)
    if len(given.names) > len(tables):
        raise WishError("There are more --name than models.")
    if given.mmproj is not None and len(tables) > 1:
        raise WishError("--mmproj is for one MODEL. For several, write mmproj in their [[model]] of the settings file.")
    folder = None if given.models else config.folder
    most = given.max_jobs or config.node.max_jobs
    found = []
    for table, name in zip_longest(tables, given.names):
        told = evolve(table, name=name or table.name)
        try:
            source = parse_source(told.model, folder=folder)
        except SourceError as error:
            raise WishError(f"{error}.") from None
        mmproj = _mmproj(given.mmproj, None, "--mmproj") or _mmproj(told.mmproj, folder, "mmproj")
        if mmproj is not None and isinstance(source, ServerSource):
            raise WishError(f"{told.model}: a server that runs already has its own mmproj; leave it out here.")
        slots = given.slots or told.slots or config.node.slots or DEFAULT_SLOTS
        found.append(
            Wish(
                source=source,
                name=_checked_id(told.name, "--name" if name else "name"),
                price=_price(given, told, config),
                engine=given.engine or told.engine or config.node.engine,
                slots=slots if most is None else min(slots, most),
                context=given.context or told.context or config.node.context,
                memory_limit=_bytes(given.memory_limit or told.memory_limit or config.node.memory_limit),
                mmproj=mmproj,
                embedding=bool(told.embedding),
            )
        )
    return found


def engines_of(wanted: Sequence[Wish], default: str) -> list[str]:
    """The engines that will run, as `--engine` names them, each once: none for servers that run already, the default
    where nothing is wished for."""
    if not wanted:
        return [default]
    own = (wish.engine or default for wish in wanted if not isinstance(wish.source, ServerSource))
    return list(dict.fromkeys(own))


def _mmproj(text: str | None, folder: Path | None, where: str) -> FileSource | None:
    """The one file that a text names. A relative path starts at `folder`, by default where the program runs."""
    if text is None:
        return None
    try:
        source = parse_source(text, folder=folder)
    except SourceError as error:
        raise WishError(f"{where}: {error}.") from None
    match source:
        case LocalSource() | HubSource(file=str()):
            return source
    raise WishError(f"{where}: {text!r} is no file: give a path, or hf:OWNER/REPOSITORY/FILE.gguf.")


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else int(gib * GIB)


def _price(given: Given, table: ModelTable, config: NodeConfig) -> PriceMessage | None:
    for text, where in ((given.price, "--price"), (table.price, "price"), (config.node.price, "price")):
        if text is not None:
            try:
                return parse_price(text)
            except ValueError as error:
                raise WishError(f"{where}: {error}.") from None
    return None


def _checked_id(name: str | None, where: str) -> str | None:
    if name is not None and not is_model_id(name):
        raise WishError(
            f"{where}: {name!r} is not an id: a letter or digit, then at most 199 of A-Z a-z 0-9 . _ : / @ + -"
        )
    return name
