"""What is known of the models that are wished for before anything is downloaded or loaded."""

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.models.file_names import is_projector, models_among
from lightphon_backend_gguf.node.models.gguf import GgufError
from lightphon_backend_gguf.node.models.sources import HubSource, LocalSource, ServerSource, Source
from lightphon_backend_gguf.node.planning.check import ModelReport, gib
from lightphon_backend_gguf.node.planning.locate import Located, locate
from lightphon_backend_gguf.node.planning.plan import PlanError, Planned, called_alike, plan_model
from lightphon_backend_gguf.node.planning.wishes import Wish, WishError


@frozen
class NotHere:
    """A model of a hub that is still to be downloaded: the name of its first file, and the bytes of all."""

    name: str
    size: int


class LookFailed(Exception):
    """A model of a hub cannot be looked at. The message is one line for the operator."""


async def preview(
    wishes: Sequence[Wish], look: Callable[[HubSource], Path | NotHere], *, threads: int, server_key: str = ""
) -> tuple[list[ModelReport], list[str]]:
    """A report on every model, and what is wrong with them together. A model that cannot be served is one report.

    `look` tells where a model of a hub is, and may raise LookFailed.
    """
    planned: list[Planned] = []
    reports = [report for wish in wishes for report in await _reports(wish, look, threads, server_key, planned)]
    twice = called_alike(planned)
    return reports, [twice] if twice else []


async def _reports(
    wish: Wish,
    look: Callable[[HubSource], Path | NotHere],
    threads: int,
    server_key: str,
    planned: list[Planned],
) -> list[ModelReport]:
    """The reports of one wish; what can be served is added to `planned`."""
    asked = wish.name or "?"
    here: dict[HubSource, Path] = {}
    missing: list[NotHere] = []
    try:
        for source in (wish.source, wish.mmproj):
            if isinstance(source, HubSource):
                found = look(source)
                if isinstance(found, NotHere):
                    missing.append(found)
                else:
                    here[source] = found
        if missing:
            return [_to_download(wish, missing, whole=not here and isinstance(wish.source, HubSource))]
        located = locate([wish], here.__getitem__)
    except (WishError, LookFailed) as error:
        return [ModelReport(asked, place(wish.source), problem=str(error))]
    reports = []
    for item in located:
        try:
            models = await plan_model(item, threads=threads, server_key=server_key)
        except (GgufError, PlanError, EngineError) as error:
            reports.append(ModelReport(item.model_id or asked, _where(item), problem=str(error)))
        else:
            planned += models
            reports += [_report(item, model) for model in models]
    return reports


def place(source: Source) -> str:
    """Where a model comes from, as the operator would write it."""
    match source:
        case LocalSource(path):
            return str(path)
        case ServerSource(url, model):
            return f"openai:{url}{f'#{model}' if model else ''}"
        case HubSource(repository, quantization, file):
            return f"hf:{repository}{f'/{file}' if file else f':{quantization}' if quantization else ''}"


def _where(located: Located) -> str:
    return str(located.place) if isinstance(located.place, Path) else place(located.place)


def _report(located: Located, model: Planned) -> ModelReport:
    offer = model.offer
    return ModelReport(
        offer.id,
        _where(located),
        facts=offer.model,
        engine=offer.engine,
        slots=offer.slots,
        weights=model.weights,
        cache=model.cache,
        memory_limit=model.memory_limit,
        price=offer.price,
        mmproj=None if located.mmproj is None else str(located.mmproj),
        note=_unused(located),
    )


def _unused(located: Located) -> str | None:
    """That a model could take images, where a projector lies beside it and beside no other model. The operator decides:
    it takes memory, and images take longer than text."""
    if located.mmproj is not None or not isinstance(located.place, Path):
        return None
    names = [file.name for file in located.place.parent.iterdir()]
    projectors = sorted(filter(is_projector, names))
    if not projectors or len(models_among(names)) > 1:
        return None
    return f"{projectors[0]} lies beside it, and is not used; with it as mmproj the model takes images."


def _to_download(wish: Wish, missing: Sequence[NotHere], *, whole: bool) -> ModelReport:
    """`whole`: nothing of it is here yet."""
    source, size = wish.source, sum(file.size for file in missing)
    names = " and ".join(file.name for file in missing)
    return ModelReport(
        wish.name or (source.repository if isinstance(source, HubSource) else "?"),
        place(source),
        slots=wish.slots,
        weights=size if whole else None,
        memory_limit=wish.memory_limit,
        price=wish.price,
        mmproj=None if wish.mmproj is None else place(wish.mmproj),
        note=f"`run` downloads {names} first, {gib(size)}; its facts are known then.",
    )
