"""What a node is going to serve: from the operator's models and wishes to offers and engines."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from attrs import evolve, frozen

from lightphon_backend_gguf.node.dialect import Feature
from lightphon_backend_gguf.node.engines.attached import AttachedSettings, base_url, dialect_of, discover
from lightphon_backend_gguf.node.engines.base import Engine, offered
from lightphon_backend_gguf.node.engines.ctransformers import CTransformersSettings
from lightphon_backend_gguf.node.engines.kinds import ENGINES, EngineSettings, engine_for
from lightphon_backend_gguf.node.engines.listing import Listed
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCppSettings, Pooling
from lightphon_backend_gguf.node.engines.llamaserver import LlamaServerSettings
from lightphon_backend_gguf.node.models.facts import (
    facts,
    has_pooling,
    is_embedding,
    plain_id,
    read_model,
    training_context,
)
from lightphon_backend_gguf.node.models.file_names import parts_of
from lightphon_backend_gguf.node.models.gguf import Header
from lightphon_backend_gguf.node.models.infill import Infill, read_infill
from lightphon_backend_gguf.node.models.memory import cache_bytes, memory_limit
from lightphon_backend_gguf.node.models.projector import Projector, is_projector, read_projector
from lightphon_backend_gguf.node.models.sources import ServerSource
from lightphon_backend_gguf.node.planning.locate import Located
from lightphon_backend_gguf.node.planning.wishes import Wish
from lightphon_backend_gguf.node.serving.restarts import ATTEMPTS
from lightphon_backend_gguf.protocol.messages import ModelFacts, OfferMessage

DEFAULT_CONTEXT = 8192
"""Tokens for each job, where the operator does not say and the model was trained for no less."""


class PlanError(Exception):
    """The operator's wishes do not fit together. The message is one line."""


@frozen
class Planned:
    """A model that is to be served: what the node will say of it, and the engine that will run it.

    `engine` makes an engine, one for each start. `path` is the file, of which the node tells the sha256; None where
    there is none, or where it is one of several parts. `weights` and `cache` are bytes of memory: all files of the
    model and its projector, and the key-value cache of all slots, where they are known. `memory_limit` is the
    operator's, in bytes, `memory_estimate` the default without one; an engine that holds more is restarted. `attempts`:
    see `Restarts`.
    """

    offer: OfferMessage
    engine: Callable[[], Engine]
    path: Path | None = None
    weights: int | None = None
    cache: int | None = None
    memory_limit: int | None = None
    memory_estimate: int | None = None
    attempts: int | None = ATTEMPTS


async def plan(models: Sequence[Located], *, threads: int, server_key: str = "") -> list[Planned]:
    """An engine for each model, not yet started. Servers that run already are asked what they have.

    `server_key` is the key that they want, if they want one. GgufError for a file that cannot be served, EngineError
    for a server that cannot be used, PlanError for wishes that do not fit together, such as two models of one id.
    """
    planned = [item for model in models for item in await plan_model(model, threads=threads, server_key=server_key)]
    if twice := called_alike(planned):
        raise PlanError(twice)
    return planned


def called_alike(planned: Sequence[Planned]) -> str | None:
    """What is wrong where several models have one id."""
    for model_id, count in Counter(item.offer.id for item in planned).items():
        if count > 1:
            return f"{count} models are called {model_id}: give each a --name of its own."
    return None


async def plan_model(located: Located, *, threads: int, server_key: str = "") -> list[Planned]:
    """The same for one place: a file is one model, a server may have several."""
    if isinstance(located.place, Path):
        return [_plan_file(located, located.place, threads)]
    return await _plan_server(located, located.place, server_key)


def _plan_file(located: Located, path: Path, threads: int) -> Planned:
    wish = located.wish
    header = read_model(path)
    if is_projector(header):
        raise PlanError(f"{path}: this is no model, but a projector for images: name it as mmproj, beside its model.")
    mmproj = None if located.mmproj is None else read_projector(located.mmproj)
    parts = [path.with_name(part) for part in parts_of(path.name)]
    if missing := [part for part in parts if not part.is_file()]:
        raise PlanError(f"{path}: its part {missing[0].name} is not in the same folder.")
    size = sum(part.stat().st_size for part in parts)
    context = _granted_context(header, wish.context)
    infill = None if is_embedding(header) else read_infill(path, header)
    model = facts(header, file_name=path.name, model_id=located.model_id, context=context, file_bytes=size)
    name, settings = _settings(wish, path, header, infill, mmproj, alias=model.id, context=context, threads=threads)
    weights = size + (0 if mmproj is None else mmproj.size)
    slots = getattr(settings, "slots", 1)
    cache = cache_bytes(header, slots * context)
    features = engine_for(settings).dialect.features
    # What a model's header does not tell of it, its engine's settings do.
    able = {*model.capabilities, *(features & {Feature.VISION, Feature.INFILL, Feature.EMBEDDING})}
    model = evolve(model, capabilities=offered(able, features))
    return Planned(
        OfferMessage(id=model.id, model=model, slots=slots, price=wish.price, engine=name),
        partial(engine_for, settings),
        path=path if len(parts) == 1 else None,
        weights=weights,
        cache=cache,
        memory_limit=wish.memory_limit,
        memory_estimate=memory_limit(weights, cache),
    )


def _settings(
    wish: Wish,
    path: Path,
    header: Header,
    infill: Infill | None,
    mmproj: Projector | None,
    *,
    alias: str,
    context: int,
    threads: int,
) -> tuple[str, EngineSettings]:
    """The engine that is wished for: its name and its settings. `llama-server=PATH` names the program as well."""
    kind, _, program = (wish.engine or ENGINES[0]).partition("=")
    if mmproj is not None and is_embedding(header):
        raise PlanError(f"{path}: this model makes embeddings, and takes no images: leave mmproj out.")
    embedding = wish.embedding or is_embedding(header)
    pooling = _pooling(header) if embedding else None
    match kind, program:
        case "llama.cpp", "":
            return kind, LlamaCppSettings(
                path,
                alias,
                wish.slots,
                context,
                threads,
                embedding=embedding,
                pooling=pooling,
                infill=infill,
                mmproj=mmproj,
            )
        case "ctransformers", "":
            if mmproj is not None:
                raise PlanError("ctransformers takes no images: leave mmproj out, or take llama.cpp.")
            if wish.embedding:
                raise PlanError(f"{path}: ctransformers makes no embeddings; leave embedding out, or take llama.cpp.")
            return kind, CTransformersSettings(path, alias, context, threads)
        case "llama-server", _:
            binary = shutil.which(program or kind)
            if binary is None:
                raise PlanError(f"There is no program {program or kind}: name it as --engine llama-server=PATH.")
            return kind, LlamaServerSettings(
                Path(binary),
                path,
                alias,
                wish.slots,
                context,
                threads,
                embedding=embedding,
                pooling=pooling,
                infill=infill,
                mmproj=mmproj,
            )
    raise PlanError(f"--engine: {wish.engine} is not one of {', '.join(ENGINES)}.")


async def _plan_server(located: Located, source: ServerSource, key: str) -> list[Planned]:
    if located.wish.engine is not None:
        raise PlanError(f"{source.url}: a server that runs already has its engine; leave --engine out.")
    if located.wish.embedding:
        raise PlanError(f"{source.url}: a server that runs already says itself what it does; leave embedding out.")
    try:
        url = base_url(source.url)
    except ValueError as error:
        raise PlanError(f"{source.url}: {error}.") from None
    there = await discover(url, key)
    found = [model for model in there if source.model in (None, model.name)]
    names = ", ".join(model.name for model in there)
    if not found:
        raise PlanError(f"{url} does not have {source.model}; it has {names}.")
    if located.model_id is not None and len(found) > 1:
        raise PlanError(f"{url} has several models; add one of them after a #: {names}.")
    return [_plan_listed(located, model, url, key) for model in found]


def _plan_listed(located: Located, model: Listed, url: str, key: str) -> Planned:
    """What a running server tells of a model is all that is known of it."""
    wish = located.wish
    slots = min(wish.slots, model.slots or wish.slots)
    dialect = dialect_of(model, slots)
    capabilities = {str(feature) for feature in dialect.features}
    told = ModelFacts(
        id=located.model_id or plain_id(model.name) or "model",
        capabilities=tuple(sorted(capabilities | ({"reasoning"} if model.reasoning else set()))),
        context_length=min((length for length in (model.context, wish.context) if length), default=None),
        params_b=model.params_b,
        quantization=model.quantization,
    )
    settings = AttachedSettings(url, model.name, key=key, dialect=dialect)
    offer = OfferMessage(id=told.id, model=told, slots=slots, price=wish.price, engine=model.server)
    # However long it is away: it is not ours, and may come back.
    return Planned(offer, partial(engine_for, settings), attempts=None)


def _pooling(header: Header) -> Pooling | None:
    """How the vectors of tokens become one where the file does not say it."""
    if has_pooling(header):
        return None
    return "mean" if is_embedding(header) else "last"


def _granted_context(header: Header, wanted: int | None) -> int:
    """Tokens for each job: what is wanted, or the usual, but never more than the model was trained for."""
    wanted = wanted or DEFAULT_CONTEXT
    return min(wanted, training_context(header) or wanted)
