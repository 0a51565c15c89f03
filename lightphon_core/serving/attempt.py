"""Try the ranked offers, one by one, until one yields its first output."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence

from attrs import frozen

from lightphon_core.errors import BackendError, NoNodesAvailable, Overloaded, Refused, TimedOut, Unavailable
from lightphon_core.openai.request import InferenceRequest, ready_body
from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.router import RETRY_AFTER_S, Ranked
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.upstream import Batch, checked
from lightphon_core.types import Job


@frozen
class Started:
    """An offer that has begun to answer.

    `first` is what it sent up to its first output; `rest` is still to come, and closing it cancels the work.
    """

    entry: Entry
    job: Job
    first: Batch
    rest: AsyncGenerator[Batch, None]
    attempts: int
    ttft_s: float


async def first_output(
    gateway: Gateway, request: InferenceRequest, ranked: Sequence[Ranked], *, deadline: float
) -> Started:
    """The first of the ranked offers that answers. `deadline` is the monotonic time at which the answer must be whole.

    Raises `Refused` or `TimedOut` as soon as one offer does, and `NoNodesAvailable` when all that may be tried failed.
    """
    failure: BackendError = Unavailable("No offer was tried.")
    for attempts, candidate in enumerate(ranked[: gateway.limits.attempts], start=1):
        entry = candidate.entry
        began = gateway.clock.monotonic()
        job = _job(gateway, request, entry, timeout_s=deadline - began)
        work = checked(entry.backend.serve(job), request)
        try:
            first = await _until_output(work, gateway.limits.first_output_timeout_s)
        except BaseException as error:
            await work.aclose()
            if not isinstance(error, Exception):
                raise
            failure = judge(gateway, entry, error)
            if isinstance(failure, (Refused, TimedOut)):
                raise failure from None
        else:
            return Started(entry, job, first, work, attempts, gateway.clock.monotonic() - began)
    raise _none_left(failure)


def judge(gateway: Gateway, entry: Entry, error: Exception) -> BackendError:
    """What an attempt's exception means, as one of the port's errors; counted against the offer unless the request is
    at fault."""
    match error:
        case Refused():
            return error
        case TimeoutError():
            failure: BackendError = TimedOut(
                "The model did not answer in time. Ask for fewer tokens (max_tokens), or try a smaller model."
            )
        case BackendError():
            failure = error
        case _:
            gateway.log.error(
                "a backend raised what its port does not allow", backend=entry.backend.name, exc_info=error
            )
            failure = Unavailable("The backend failed.")
    if not isinstance(failure, Overloaded):
        gateway.observations.failed(entry.key)
    return failure


async def _until_output(work: AsyncGenerator[Batch, None], timeout_s: float) -> Batch:
    """Everything up to and with the first chunk that carries output, or the whole of an answer that has none.

    An answer that ends without a single chunk with a finish reason is no answer: `Unavailable`.
    """
    first: Batch = []
    async with asyncio.timeout(timeout_s):
        async for batch in work:
            first += batch
            if any(chunk.has_output or chunk.finish_reasons for chunk in batch):
                return first
    raise Unavailable("The node ended its answer before it began.")


def _job(gateway: Gateway, request: InferenceRequest, entry: Entry, *, timeout_s: float) -> Job:
    model = entry.offer.model
    most = request.needs.max_output_tokens or gateway.limits.max_output_tokens
    if model.context_length is not None:
        most = max(1, min(most, model.context_length - request.needs.prompt_tokens))
    return Job(
        id="job_" + secrets.token_hex(8),
        offer_id=entry.offer.id,
        path=request.path,
        body=ready_body(request, model=model.id, max_tokens=most),
        max_output_tokens=most,
        timeout_s=timeout_s,
    )


def _none_left(failure: BackendError) -> NoNodesAvailable:
    retry_after = RETRY_AFTER_S
    reason = "failed"
    if isinstance(failure, Overloaded):
        retry_after = failure.retry_after or RETRY_AFTER_S
        reason = "are busy"
    return NoNodesAvailable(
        f"The nodes that could serve this request {reason}. Try again shortly.", retry_after=retry_after
    )
