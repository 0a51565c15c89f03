"""What is on offer now: one snapshot of all backends' offers, read again when a backend says that its own changed."""

from collections.abc import Callable, Iterable, Sequence

from attrs import evolve, field, frozen

from lightphon_core.ports import Backend
from lightphon_core.routing.makers import known
from lightphon_core.types import Capability, ListedModel, Load, Model, Offer

REMEMBERED_IDS = 10_000
"""How many model ids are remembered after their last offer left, to tell "offline" from "never heard of"."""


@frozen
class Entry:
    """One offer and the backend that serves it."""

    backend: Backend = field(repr=False)
    offer: Offer

    @property
    def key(self) -> tuple[str, str]:
        """Unique in the application."""
        return self.backend.name, self.offer.id

    def load(self) -> Load:
        """How busy the offer is, as its backend says now."""
        return self.backend.load().get(self.offer.id, Load())


class Catalogue:
    """The live snapshot. `entries` and `models` are rebuilt on the first read after `invalidate`.

    `now` is the clock, in seconds since 1970. `backends` is read anew each time.
    """

    def __init__(self, backends: Sequence[Backend], now: Callable[[], float]) -> None:
        self._backends = backends
        self._now = now
        self._entries: tuple[Entry, ...] | None = None
        self._models: tuple[ListedModel, ...] = ()
        self._seen: dict[str, int] = {}

    def invalidate(self) -> None:
        """Some backend's offers changed."""
        self._entries = None

    def entries(self) -> tuple[Entry, ...]:
        """Every offer."""
        if self._entries is None:
            self._entries = tuple(
                Entry(backend, evolve(offer, model=known(offer.model)))
                for backend in self._backends
                for offer in backend.offers()
            )
            models = merge([entry.offer for entry in self._entries])
            self._remember(model.id for model, _ in models)
            self._models = tuple(ListedModel(model, nodes, self._seen[model.id]) for model, nodes in models)
        return self._entries

    def models(self) -> tuple[ListedModel, ...]:
        """The models on offer, by id."""
        self.entries()
        return self._models

    def was_offered(self, model: str) -> bool:
        """Whether a model of this id is on offer, or was since the server started."""
        self.entries()
        return model in self._seen

    def _remember(self, ids: Iterable[str]) -> None:
        now = int(self._now())
        for model in ids:
            self._seen[model] = self._seen.pop(model, now)
        while len(self._seen) > REMEMBERED_IDS:
            del self._seen[next(iter(self._seen))]


def merge(offers: Sequence[Offer]) -> list[tuple[Model, int]]:
    """Each model id once, with the number of its nodes: the largest context and all capabilities that some node has.

    Facts that nodes disagree on are those of the first offer that states them.
    """
    merged: dict[str, Model] = {}
    nodes: dict[str, set[str]] = {}
    for offer in offers:
        model = offer.model
        known = merged.get(model.id)
        merged[model.id] = model if known is None else _both(known, model)
        nodes.setdefault(model.id, set()).add(offer.node.id)
    return [(merged[name], len(nodes[name])) for name in sorted(merged)]


def _both(first: Model, second: Model) -> Model:
    capabilities: frozenset[Capability] = first.capabilities | second.capabilities
    contexts = [length for length in (first.context_length, second.context_length) if length is not None]
    return evolve(
        first,
        capabilities=capabilities,
        context_length=max(contexts, default=None),
        maker=first.maker or second.maker,
        params_b=first.params_b or second.params_b,
        quantization=first.quantization or second.quantization,
        owned_by=first.owned_by or second.owned_by,
    )
