"""What is known of the models that are wished for before anything is downloaded or loaded."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.check import ModelReport, gib
from lightphon_backend_gguf.node.gguf import GgufError
from lightphon_backend_gguf.node.locate import Located, locate
from lightphon_backend_gguf.node.plan import PlanError, Planned, called_alike, plan_model
from lightphon_backend_gguf.node.sources import HubSource, LocalSource, ServerSource, Source
from lightphon_backend_gguf.node.wishes import Wish, WishError


@frozen
class NotHere:
    """A model of a hub that is still to be downloaded: the name of its first file, and the bytes of all."""

    name: str
    size: int


class LookFailed(Exception):
    """A model of a hub cannot be looked at. The message is one line for the operator."""


def preview(
    wishes: Sequence[Wish], look: Callable[[HubSource], Path | NotHere], *, threads: int
) -> tuple[list[ModelReport], list[str]]:
    """A report on every model, and what is wrong with them together. A model that cannot be served is one report.

    `look` tells where a model of a hub is, and may raise LookFailed.
    """
    planned: list[Planned] = []
    reports = [report for wish in wishes for report in _reports(wish, look, threads, planned)]
    twice = called_alike(planned)
    return reports, [twice] if twice else []


def _reports(
    wish: Wish, look: Callable[[HubSource], Path | NotHere], threads: int, planned: list[Planned]
) -> Iterator[ModelReport]:
    source, asked = wish.source, wish.name or "?"
    try:
        if isinstance(source, HubSource):
            found = look(source)
            if isinstance(found, NotHere):
                yield _to_download(wish, source, found)
                return
            located = [Located(wish, found, wish.name or source.repository)]
        else:
            located = locate([wish], _never)
    except (WishError, LookFailed) as error:
        yield ModelReport(asked, place(source), problem=str(error))
        return
    for item in located:
        try:
            model = plan_model(item, threads=threads)
        except (GgufError, PlanError) as error:
            yield ModelReport(item.model_id or asked, str(item.place), problem=str(error))
        else:
            planned.append(model)
            yield _report(item, model)


def place(source: Source) -> str:
    """Where a model comes from, as the operator would write it."""
    match source:
        case LocalSource(path):
            return str(path)
        case ServerSource(url, model):
            return f"openai:{url}{f'#{model}' if model else ''}"
        case HubSource(repository, quantization, file):
            return f"hf:{repository}{f'/{file}' if file else f':{quantization}' if quantization else ''}"


def _report(located: Located, model: Planned) -> ModelReport:
    offer = model.offer
    return ModelReport(
        offer.id,
        str(located.place) if isinstance(located.place, Path) else place(located.place),
        facts=offer.model,
        engine=offer.engine,
        slots=offer.slots,
        weights=model.weights,
        cache=model.cache,
        price=offer.price,
    )


def _to_download(wish: Wish, source: HubSource, found: NotHere) -> ModelReport:
    return ModelReport(
        wish.name or source.repository,
        place(source),
        slots=wish.slots,
        weights=found.size,
        price=wish.price,
        note=f"`run` downloads {found.name} first, {gib(found.size)}; its facts are known then.",
    )


def _never(source: HubSource) -> Path:
    raise AssertionError(source)
