"""Why nothing is left for a request: which condition took the last offers away, and what would be possible."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lightphon_core.errors import (
    InvalidRequest,
    LightPhonError,
    ModelNotAvailable,
    ModelNotFound,
    NoNodesAvailable,
    PermissionDenied,
)
from lightphon_core.money import sats
from lightphon_core.routing.filters import (
    CAPABILITIES,
    CHOICES,
    CONTEXT,
    EXCLUDE,
    FAILING,
    FOR_WHOM,
    FREE,
    LOOP,
    MAX_PRICE,
    NOT_IN_AUTO,
    Demand,
    tests,
)
from lightphon_core.routing.inability import lacked, some, too_long, unable
from lightphon_core.routing.pools import Group
from lightphon_core.types import Model, Needs

RETRY_AFTER_S = 5.0
"""What a client is told to wait when no node is online: about one reconnect of a node."""


def usable(demand: Demand, groups: Collection[Group]) -> list[Group]:
    """Those that are there for the request at all, whatever it asks for."""
    conditions = [holds for condition, holds in tests(demand) if condition in FOR_WHOM]
    return [group for group in groups if all(holds(group.kind) for holds in conditions)]


def not_allowed(model: str, allowed: frozenset[str]) -> PermissionDenied:
    """Whether anybody has the model is not said."""
    return PermissionDenied(
        f'This key may not use the model {model[:200]!r}. It may use {some(allowed)}; "auto" picks among them.',
        param="model",
        code="model_not_allowed",
    )


def missing(model: str, *, was_offered: bool) -> LightPhonError:
    """Nobody has a model of this id now."""
    if was_offered:
        return NoNodesAvailable(
            f'The nodes that have model {model!r} are offline. Try again shortly, or use model "auto".',
            retry_after=RETRY_AFTER_S,
        )
    return ModelNotFound(
        f'The model {model!r} does not exist here. GET /v1/models lists the models on offer; "auto" picks one.',
        param="model",
    )


def circular(model: str, via: frozenset[str]) -> ModelNotAvailable:
    """Only gateways that the request came through have the model."""
    return ModelNotAvailable(
        f"Only {some(via)} has the model {model[:200]!r}, and this request comes from there: it would go round in a "
        'circle. Name another model, or "auto". If it comes from elsewhere, use a key that is not marked so (used_by).',
        param="model",
    )


def nobody(demand: Demand, groups: Collection[Group]) -> NoNodesAvailable:
    """No node is online that is there for the request; `groups` are all."""
    left = list(groups)
    which, advice = "", "Nodes reconnect by themselves; try again shortly."
    if (allowed := demand.allowed) is not None:
        which = f" that has a model which this key may use ({some(allowed)})"
    for condition, holds in tests(demand):
        kept = [group for group in left if holds(group.kind)]
        if condition == LOOP and left and not kept:
            which += f", but for {some(demand.via)}, which this request comes from: it would go round in a circle"
        elif condition == NOT_IN_AUTO and left and not kept:
            which += ' that "auto" may choose'
            advice = f"Name a model ({some({group.model.id for group in left})}), or try again shortly."
        left = kept
    return NoNodesAvailable(f"No node is online{which}. {advice}", retry_after=RETRY_AFTER_S)


def no_group(needs: Needs, demand: Demand, usable: Sequence[Group]) -> LightPhonError | None:
    """The condition on model or price that took the last of these groups away; None where some are left.

    `usable` are those of all models that its key may use; one that the request names is among them.
    """
    left = everyone = [group for group in usable if demand.model is None or demand.model == group.model.id]
    for condition, holds in tests(demand):
        kept = [group for group in left if holds(group.kind)]
        if not kept:
            models = [group.model for group in left]
            if condition == CAPABILITIES and not any(needs.capabilities <= model.capabilities for model in models):
                return unable(needs, models, [group.model for group in usable], _none(demand))
            if condition == CONTEXT:
                return too_long(needs, models, [group.model for group in usable])
            return _without(condition, needs, models, narrowed=len(left) < len(everyone))
        left = kept
    return None


def no_offer(
    needs: Needs, left_out: Mapping[str, int], *, most_slots: int, cheapest_msat: int | None, rest_s: float
) -> LightPhonError:
    """The models would do, but none of their offers. `left_out` counts them by condition; `most_slots` is the most that
    one of those has which have too few, and `cheapest_msat` the least that one is expected to cost which is too dear.
    In `rest_s` seconds the first of those that failed may be tried again; 0 where nobody knows.
    """
    if left_out.get(FAILING):
        return NoNodesAvailable(
            "The nodes that could serve this request have failed lately, and are given a rest. Try again shortly.",
            retry_after=rest_s or RETRY_AFTER_S,
        )
    if left_out.get(MAX_PRICE) and cheapest_msat is not None:
        most = sats(needs.filters.max_price_msat or 0)
        return _unmet(
            MAX_PRICE,
            f"Nothing that would do is expected to cost at most {most} sats for this answer (max_price); the cheapest "
            f"is expected to cost {sats(cheapest_msat)} sats.",
        )
    if left_out.get(CHOICES):
        return InvalidRequest(f"'n' must be at most {most_slots} here: each choice takes a slot.", param="n")
    return _without(EXCLUDE, needs, [], narrowed=True)


def _none(demand: Demand) -> str:
    """What none of the models is called that are there for a request."""
    if demand.allowed is not None or demand.via:
        return "No model that this key may use"
    return 'No model that "auto" may choose' if demand.in_auto else "No model on offer"


def _without(condition: str, needs: Needs, left: Sequence[Model], *, narrowed: bool) -> LightPhonError:
    """`condition`, which is not the request's own but was asked for, holds for none of `left`."""
    if condition == CAPABILITIES:
        _, words = lacked(needs.capabilities | (needs.filters.capabilities or frozenset()), left)
        who = "No model on offer" if needs.model is None else f"No offer of the model {needs.model!r}"
        return _unmet(CAPABILITIES, f"{who} that would do otherwise says that it can do {words} (capabilities).")
    if condition == FREE:
        return ModelNotAvailable(
            'Nothing that would do is free at the moment. "auto:cheap" picks what costs little.', param="model"
        )
    who = "No model on offer"
    if needs.model is not None:
        who = f"No offer of the model {needs.model!r}"
    elif narrowed:
        who = "None of the models that would do otherwise"
    return _unmet(condition, WORDS[condition](who, getattr(needs.filters, condition), left))


def _unmet(condition: str, message: str) -> ModelNotAvailable:
    return ModelNotAvailable(message, param=f"route.{condition}")


def _min_params(who: str, wanted: float, left: Sequence[Model]) -> str:
    known = [model.params_b for model in left if model.params_b is not None]
    most = f"the largest has {max(known):g}" if known else "none says how many it has"
    return f"{who} has {wanted:g} or more thousand million parameters (min_params_b); {most}."


def _max_params(who: str, wanted: float, left: Sequence[Model]) -> str:
    known = [model.params_b for model in left if model.params_b is not None]
    least = f"the smallest has {min(known):g}" if known else "none says how many it has"
    return f"{who} has {wanted:g} or fewer thousand million parameters (max_params_b); {least}."


def _min_context(who: str, wanted: int, left: Sequence[Model]) -> str:
    known = [model.context_length for model in left if model.context_length is not None]
    most = f"the largest has {max(known)}" if known else "none says how many it has"
    return f"{who} has a context of {wanted} or more tokens (min_context); {most}."


def _words(field: str, fact: Callable[[Model], str | None], what: str) -> Callable[[str, Any, Sequence[Model]], str]:
    def words(who: str, wanted: frozenset[str], left: Sequence[Model]) -> str:
        there = {said for model in left if (said := fact(model)) is not None}
        instead = f"there is {some(there)}" if there else "none says what it has there"
        return f"{who} {what} {some(wanted)} ({field}); {instead}."

    return words


WORDS: Mapping[str, Callable[[str, Any, Sequence[Model]], str]] = {
    "providers": _words("providers", lambda model: model.maker, "was made by"),
    "models": _words("models", lambda model: model.id, "is"),
    "owned_by": _words("owned_by", lambda model: model.owner, "is owned by"),
    "min_params_b": _min_params,
    "max_params_b": _max_params,
    "quantizations": _words("quantizations", lambda model: model.quantization, "is quantized to"),
    "min_context": _min_context,
    EXCLUDE: lambda *_: "All that would do otherwise is left out by the request itself (exclude).",
}
"""A sentence for each filter: (whom it is about, what is asked for, the models before it) -> what is wrong."""
