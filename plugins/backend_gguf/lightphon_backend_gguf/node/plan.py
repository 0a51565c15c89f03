"""What a node is going to serve: from the operator's files and wishes to offers and engines."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.engines.base import Engine
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.models import facts, is_embedding, read_model, training_context
from lightphon_backend_gguf.protocol.messages import OfferMessage, PriceMessage

DEFAULT_CONTEXT = 8192
"""Tokens for each job, where the operator does not say and the model was trained for no less."""


class PlanError(Exception):
    """The operator's wishes do not fit together. The message is one line."""


@frozen
class Planned:
    """A model that is to be served: what the node will say of it, and the engine that will run it."""

    offer: OfferMessage
    engine: Engine


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
        model = facts(header, file_name=path.name, model_id=name, context=granted)
        settings = LlamaCppSettings(
            path=path,
            alias=model.id,
            slots=slots,
            context=granted,
            threads=threads,
            embedding=is_embedding(header),
        )
        planned.append(Planned(OfferMessage(id=model.id, model=model, slots=slots, price=price), LlamaCpp(settings)))
    for model_id, count in Counter(item.offer.id for item in planned).items():
        if count > 1:
            raise PlanError(f"{count} models are called {model_id}: give each a --name of its own.")
    return planned
