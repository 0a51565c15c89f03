"""What a node is going to serve: from the operator's models and wishes to offers and engines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.engines.base import Engine
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.gguf import Header
from lightphon_backend_gguf.node.locate import Located
from lightphon_backend_gguf.node.models import facts, is_embedding, read_model, training_context
from lightphon_backend_gguf.protocol.messages import OfferMessage

DEFAULT_CONTEXT = 8192
"""Tokens for each job, where the operator does not say and the model was trained for no less."""


class PlanError(Exception):
    """The operator's wishes do not fit together. The message is one line."""


@frozen
class Planned:
    """A model that is to be served: what the node will say of it, and the engine that will run it."""

    offer: OfferMessage
    engine: Engine


def plan(models: Sequence[Located], *, threads: int) -> list[Planned]:
    """An engine for each model, not yet started.

    GgufError for a file that cannot be served, PlanError for two models of one id.
    """
    planned = [_plan_file(model, threads) for model in models]
    check_ids([item.offer.id for item in planned])
    return planned


def granted_context(header: Header, wanted: int | None) -> int:
    """Tokens for each job: what is wanted, or the usual, but never more than the model was trained for."""
    wanted = wanted or DEFAULT_CONTEXT
    return min(wanted, training_context(header) or wanted)


def check_ids(ids: Sequence[str]) -> None:
    """PlanError where two models have one id."""
    for model_id, count in Counter(ids).items():
        if count > 1:
            raise PlanError(f"{count} models are called {model_id}: give each a --name of its own.")


def _plan_file(located: Located, threads: int) -> Planned:
    wish, path = located.wish, located.place
    assert isinstance(path, Path)
    header = read_model(path)
    context = granted_context(header, wish.context)
    model = facts(header, file_name=path.name, model_id=located.model_id, context=context)
    settings = LlamaCppSettings(
        path=path,
        alias=model.id,
        slots=wish.slots,
        context=context,
        threads=threads,
        embedding=is_embedding(header),
    )
    return Planned(OfferMessage(id=model.id, model=model, slots=wish.slots, price=wish.price), LlamaCpp(settings))
