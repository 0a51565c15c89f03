"""What a node is going to serve: from the operator's files and wishes to offers and engines."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.engines.base import Engine
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.memory import cache_bytes, memory_limit
from lightphon_backend_gguf.node.models import facts, is_embedding, read_model, training_context
from lightphon_backend_gguf.node.restarts import ATTEMPTS
from lightphon_backend_gguf.protocol.messages import OfferMessage, PriceMessage

DEFAULT_CONTEXT = 8192
"""Tokens for each job, where the operator does not say and the model was trained for no less."""


class PlanError(Exception):
    """The operator's wishes do not fit together. The message is one line."""


@frozen
class Planned:
    """A model that is to be served: what the node will say of it, and the engine that will run it.

    `engine` makes an engine, one for each start. `path` is the file, of which the node tells the sha256; None where
    there is none, or where it is one of several parts. `memory_limit` is the operator's, in bytes, `memory_estimate`
    the default without one; an engine that holds more is restarted. `attempts`: see `Restarts`.
    """

    offer: OfferMessage
    engine: Callable[[], Engine]
    path: Path | None = None
    memory_limit: int | None = None
    memory_estimate: int | None = None
    attempts: int | None = ATTEMPTS


def plan(
    paths: Sequence[Path],
    names: Sequence[str],
    *,
    slots: int,
    context: int | None,
    threads: int,
    price: PriceMessage | None = None,
) -> list[Planned]:
    """An engine for each model file, not yet started.

    `names` are model ids for the first files; `context` is in tokens for each job. GgufError for a file that cannot be
    served, PlanError for two models of one id.
    """
    planned = []
    for path, name in zip_longest(paths, names):
        header = read_model(path)
        granted = min(context or DEFAULT_CONTEXT, training_context(header) or context or DEFAULT_CONTEXT)
        model = facts(header, file_name=path.name, model_id=name, context=granted, file_bytes=path.stat().st_size)
        settings = LlamaCppSettings(
            path=path,
            alias=model.id,
            slots=slots,
            context=granted,
            threads=threads,
            embedding=is_embedding(header),
        )
        offer = OfferMessage(id=model.id, model=model, slots=slots, price=price, engine="llama.cpp")
        planned.append(
            Planned(
                offer,
                partial(LlamaCpp, settings),
                path=None if header.metadata.get("split.count", 1) != 1 else path,
                memory_estimate=memory_limit(path.stat().st_size, cache_bytes(header, slots * granted)),
            )
        )
    for model_id, count in Counter(item.offer.id for item in planned).items():
        if count > 1:
            raise PlanError(f"{count} models are called {model_id}: give each a --name of its own.")
    return planned
