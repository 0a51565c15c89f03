"""What a node is going to serve: from the operator's models and wishes to offers and engines."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.engines.base import Engine
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.gguf import Header
from lightphon_backend_gguf.node.locate import Located
from lightphon_backend_gguf.node.memory import cache_bytes, memory_limit
from lightphon_backend_gguf.node.model_files import parts_of
from lightphon_backend_gguf.node.models import facts, is_embedding, read_model, training_context
from lightphon_backend_gguf.node.restarts import ATTEMPTS
from lightphon_backend_gguf.protocol.messages import OfferMessage

DEFAULT_CONTEXT = 8192
"""Tokens for each job, where the operator does not say and the model was trained for no less."""


class PlanError(Exception):
    """The operator's wishes do not fit together. The message is one line."""


@frozen
class Planned:
    """A model that is to be served: what the node will say of it, and the engine that will run it.

    `engine` makes an engine, one for each start. `path` is the file, of which the node tells the sha256; None where
    there is none, or where it is one of several parts. `weights` and `cache` are bytes of memory: all files of the
    model, and the key-value cache of all slots, where they are known. `memory_limit` is the operator's, in bytes,
    `memory_estimate` the default without one; an engine that holds more is restarted. `attempts`: see `Restarts`.
    """

    offer: OfferMessage
    engine: Callable[[], Engine]
    path: Path | None = None
    weights: int | None = None
    cache: int | None = None
    memory_limit: int | None = None
    memory_estimate: int | None = None
    attempts: int | None = ATTEMPTS


def plan(models: Sequence[Located], *, threads: int) -> list[Planned]:
    """An engine for each model, not yet started.

    GgufError for a file that cannot be served, PlanError for two models of one id.
    """
    planned = [plan_model(model, threads=threads) for model in models]
    if twice := called_alike(planned):
        raise PlanError(twice)
    return planned


def called_alike(planned: Sequence[Planned]) -> str | None:
    """What is wrong where several models have one id."""
    for model_id, count in Counter(item.offer.id for item in planned).items():
        if count > 1:
            return f"{count} models are called {model_id}: give each a --name of its own."
    return None


def plan_model(located: Located, *, threads: int) -> Planned:
    """The same for one model."""
    wish, path = located.wish, located.place
    assert isinstance(path, Path)
    header = read_model(path)
    parts = [path.with_name(part) for part in parts_of(path.name)]
    if missing := [part for part in parts if not part.is_file()]:
        raise PlanError(f"{path}: its part {missing[0].name} is not in the same folder.")
    size = sum(part.stat().st_size for part in parts)
    context = _granted_context(header, wish.context)
    cache = cache_bytes(header, wish.slots * context)
    model = facts(header, file_name=path.name, model_id=located.model_id, context=context, file_bytes=size)
    settings = LlamaCppSettings(
        path=path,
        alias=model.id,
        slots=wish.slots,
        context=context,
        threads=threads,
        embedding=is_embedding(header),
    )
    return Planned(
        OfferMessage(id=model.id, model=model, slots=wish.slots, price=wish.price, engine="llama.cpp"),
        partial(LlamaCpp, settings),
        path=path if len(parts) == 1 else None,
        weights=size,
        cache=cache,
        memory_estimate=memory_limit(size, cache),
    )


def _granted_context(header: Header, wanted: int | None) -> int:
    """Tokens for each job: what is wanted, or the usual, but never more than the model was trained for."""
    wanted = wanted or DEFAULT_CONTEXT
    return min(wanted, training_context(header) or wanted)
