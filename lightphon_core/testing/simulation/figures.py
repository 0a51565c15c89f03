"""What a simulation came to, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from lightphon_core.testing.simulation.journey import Told


@frozen
class Figures:
    """`goodput`: answers that ended well, for each second in which clients came. `ttft_p50_s`, `ttft_p99_s`: from the
    request to its first output, waiting and failed attempts included, over requests that had one. `answer_s`: mean time
    from the request to the end of an answer that ended well. `failed`: share of
    the requests that did not end well. `attempts`: a request's mean. `returned`: share of the later turns that the node
    answered which had answered the turn before."""

    requests: int
    goodput: float
    ttft_p50_s: float
    ttft_p99_s: float
    answer_s: float
    failed: float
    attempts: float
    returned: float


def figures(told: Sequence[Told], returned: Sequence[bool], *, duration_s: float) -> Figures:
    """All requests of a simulation; none is left out as a warm-up."""
    waits = sorted(each.first_at - each.asked_at for each in told if each.first_at < math.inf)
    well = [each.ended_at - each.asked_at for each in told if each.well]
    return Figures(
        requests=len(told),
        goodput=len(well) / duration_s,
        ttft_p50_s=quantile(waits, 0.5),
        ttft_p99_s=quantile(waits, 0.99),
        answer_s=sum(well) / max(1, len(well)),
        failed=1 - len(well) / len(told) if told else 0.0,
        attempts=sum(each.attempts for each in told) / max(1, len(told)),
        returned=sum(returned) / max(1, len(returned)),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the values that so large a share of them does not exceed; infinite where there are none."""
    if not ordered:
        return math.inf
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
