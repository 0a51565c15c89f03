"""Which offers can serve a request, and in what order to try them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, frozen

from lightphon_core.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    LightPhonError,
    ModelNotAvailable,
    ModelNotFound,
    NoNodesAvailable,
    PermissionDenied,
)
from lightphon_core.ports import Scorer
from lightphon_core.routing.catalogue import Catalogue, Entry
from lightphon_core.routing.observations import Observations
from lightphon_core.types import Capability, Load, Needs, Offer, PriceInForce, Stats

RETRY_AFTER_S = 5.0
"""What a client is told to wait when no node is online: about one reconnect of a node."""
NO_OPINION = 0.5
"""What a scorer counts as that has nothing to say: neither for nor against."""
MODELS_NAMED = 5
"""How many of the models that a key may use an error names."""

NEED_IN_WORDS = {
    Capability.CHAT: "chat",
    Capability.COMPLETION: "plain text completion",
    Capability.EMBEDDING: "embeddings",
    Capability.TOOLS: "tools",
    Capability.VISION: "images",
    Capability.JSON: "JSON output",
    Capability.INFILL: "infill",
}


@frozen
class Weighted:
    """A scorer and how much its opinion counts."""

    scorer: Scorer
    weight: float


@frozen
class Ranked:
    """An offer that can serve the request. `parts`: the scorers' opinions by name; the score is their weighted mean.

    `stats` is what they were given.
    """

    entry: Entry
    score: float
    parts: dict[str, float]
    stats: Stats


@frozen
class Ranking:
    """The `candidates`, best first, and why the others are none: how many offers each condition left out, by its name,
    in the order in which they were looked at."""

    candidates: Sequence[Ranked]
    excluded: Mapping[str, int]


Key = tuple[str, str]
"""`Entry.key`: the backend's name, and the offer's id."""


def _always(_: Key) -> bool:
    return True


def _as_the_backend_says(entry: Entry) -> Load:
    return entry.load()


def _nobody(_: str) -> Key | None:
    return None


class Router:
    """One per application: what all requests are ranked by.

    `price` tells what an offer costs now; `allows` whether one may be tried (no breaker is open), `load` how busy it
    is, and `holder` which one answered a session last.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        scorers: Sequence[Weighted],
        observations: Observations,
        price: Callable[[Offer], PriceInForce],
        *,
        allows: Callable[[Key], bool] = _always,
        load: Callable[[Entry], Load] = _as_the_backend_says,
        holder: Callable[[str], Key | None] = _nobody,
    ) -> None:
        self.catalogue = catalogue
        self.observations = observations
        self._scorers = scorers
        self._price = price
        self._allows = allows
        self._load = load
        self._holder = holder

    def rank(self, needs: Needs, *, allowed: frozenset[str] | None = None) -> Ranking:
        """As the function `rank`."""
        ranked = rank(self.catalogue, needs, self._scorers, lambda entry: self.stats(entry, needs), allowed=allowed)
        return Ranking(ranked, {})

    def consider(self, needs: Needs, *, allowed: frozenset[str] | None = None) -> Ranking:
        """As `rank`, but where nothing is left there are no candidates, and no error."""
        try:
            return self.rank(needs, allowed=allowed)
        except LightPhonError:
            return Ranking((), {})

    def stats(self, entry: Entry, needs: Needs) -> Stats:
        """What is known of an offer now, for this request."""
        del needs
        return evolve(self.observations.stats(entry.key, self._load(entry)), price=self._price(entry.offer).price)


def rank(
    catalogue: Catalogue,
    needs: Needs,
    scorers: Sequence[Weighted],
    stats: Callable[[Entry], Stats],
    *,
    allowed: frozenset[str] | None = None,
) -> list[Ranked]:
    """The offers that can serve the request, best first; never empty. Only models of `allowed`, None for all.

    Raises `PermissionDenied` (a model that is not allowed), `ModelNotFound` (nobody ever had it), `NoNodesAvailable`
    (its nodes are offline), `InvalidRequest` or `ContextLengthExceeded` (no offer can do what the request needs).
    """
    if allowed is not None and needs.model is not None and needs.model not in allowed:
        raise _not_allowed(needs.model, allowed)
    entries = [entry for entry in catalogue.entries() if allowed is None or entry.offer.model.id in allowed]
    if needs.model is None:
        if not entries:
            which = "" if allowed is None else f" that has a model which this key may use ({_some(allowed)})"
            raise NoNodesAvailable(
                f"No node is online{which}. Nodes reconnect by themselves; try again shortly.",
                retry_after=RETRY_AFTER_S,
            )
        named: Sequence[Entry] = entries
    else:
        named = [entry for entry in entries if entry.offer.model.id == needs.model]
        if not named:
            raise _missing(catalogue, needs.model)
    able = [entry for entry in named if needs.capabilities <= entry.offer.model.capabilities]
    if not able:
        raise _unable(named, needs)
    roomy = [entry for entry in able if _fits(entry, needs)]
    if not roomy:
        largest = max(entry.offer.model.context_length or 0 for entry in able)
        raise ContextLengthExceeded(
            f"The prompt has at least {needs.prompt_tokens} tokens, but the largest context on offer is {largest} "
            "tokens. Shorten the messages or choose a model with a longer context (GET /v1/models lists them).",
            param="messages",
        )
    ranked = [_scored(entry, needs, scorers, stats(entry)) for entry in roomy]
    ranked.sort(key=lambda each: (-each.score, each.entry.key))
    return ranked


def _fits(entry: Entry, needs: Needs) -> bool:
    context = entry.offer.model.context_length
    return context is None or needs.prompt_tokens < context


def _scored(entry: Entry, needs: Needs, scorers: Sequence[Weighted], stats: Stats) -> Ranked:
    parts: dict[str, float] = {}
    total = weights = 0.0
    for each in scorers:
        opinion = each.scorer.score(entry.offer, needs, stats)
        if opinion is not None and math.isfinite(opinion):
            parts[each.scorer.name] = opinion
        total += each.weight * parts.get(each.scorer.name, NO_OPINION)
        weights += each.weight
    return Ranked(entry, total / weights if weights else 0.0, parts, stats)


def _not_allowed(model: str, allowed: frozenset[str]) -> PermissionDenied:
    """Whether anybody has the model is not said."""
    return PermissionDenied(
        f'This key may not use the model {model[:200]!r}. It may use {_some(allowed)}; "auto" picks among them.',
        param="model",
        code="model_not_allowed",
    )


def _some(allowed: frozenset[str]) -> str:
    named = ", ".join(sorted(allowed)[:MODELS_NAMED]) or "no model"
    more = len(allowed) - MODELS_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _missing(catalogue: Catalogue, model: str) -> LightPhonError:
    if catalogue.was_offered(model):
        return NoNodesAvailable(
            f'The nodes that have model {model!r} are offline. Try again shortly, or use model "auto".',
            retry_after=RETRY_AFTER_S,
        )
    return ModelNotFound(
        f'The model {model!r} does not exist here. GET /v1/models lists the models on offer; "auto" picks one.',
        param="model",
    )


def _unable(entries: Sequence[Entry], needs: Needs) -> LightPhonError:
    """No named offer has all capabilities: a wrong request if a model was named, else nothing that matches."""
    offered = frozenset[Capability]().union(*(entry.offer.model.capabilities for entry in entries))
    lacking = sorted(needs.capabilities - offered) or sorted(needs.capabilities)
    words = " and ".join(NEED_IN_WORDS.get(capability, str(capability)) for capability in lacking)
    if needs.model is not None:
        return InvalidRequest(f"The model {needs.model!r} cannot do {words}.", param="model", code="unsupported")
    if Capability.VISION in lacking:
        return InvalidRequest("No model on offer takes images; send text only.", param="messages", code="unsupported")
    return ModelNotAvailable(f"No model on offer can do {words}.", param="model")
