"""Try the ranked offers, one by one, until one yields its first output."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence

from attrs import frozen

from lightphon_core.errors import (
    BackendError,
    BalanceOnHold,
    InsufficientBalance,
    LightPhonError,
    NoNodesAvailable,
    Overloaded,
    Refused,
    TimedOut,
    Unavailable,
)
from lightphon_core.openai.request import InferenceRequest, ready_body
from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.router import RETRY_AFTER_S, Ranked
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.meter import ABORTED_BYTES_PER_TOKEN, Bounds, Meter, most_prompt_tokens
from lightphon_core.serving.tab import Tab, Terms, open_tab
from lightphon_core.serving.upstream import Batch, checked
from lightphon_core.types import Job, Principal


@frozen
class Started:
    """An offer that has begun to answer.

    `first` is what it sent up to its first output; `rest` is still to come, and closing it cancels the work. `meter`
    has seen nothing of it yet; `tab` is open.
    """

    entry: Entry
    job: Job
    tab: Tab
    meter: Meter
    first: Batch
    rest: AsyncGenerator[Batch, None]
    attempts: int
    ttft_s: float


async def first_output(
    gateway: Gateway,
    request: InferenceRequest,
    principal: Principal,
    ranked: Sequence[Ranked],
    *,
    deadline: float,
) -> Started:
    """The first of the ranked offers that wallet and budgets afford and that answers. `deadline` is the monotonic time
    at which the whole answer must end.

    Raises `Refused` or `TimedOut` as soon as one offer does; `NoNodesAvailable` when all that may be tried failed;
    `InsufficientBalance` (`BudgetExceeded`) or `BalanceOnHold` when none that they afford is left.
    """
    failure: LightPhonError = Unavailable("No offer was tried.")
    attempts = 0
    for candidate in ranked:
        if attempts == gateway.limits.attempts:
            break
        entry = candidate.entry
        job_id = "job_" + secrets.token_hex(8)
        try:
            tab = await _open_tab(gateway, request, principal, entry, job_id)
        except (InsufficientBalance, BalanceOnHold) as error:
            # Money that is only on hold may be free soon: then trying again helps, and a deposit is not needed.
            if not attempts and not isinstance(failure, BalanceOnHold):
                failure = error
            continue
        attempts += 1
        began = gateway.clock.monotonic()
        try:
            bounds = _bounds(request, candidate, tab)
            job = _job(request, entry, tab, job_id, timeout_s=deadline - began)
            first, rest = await _begin(entry, job, request, gateway.limits.first_output_timeout_s)
        except BaseException as error:
            close_tab(gateway, tab)
            # A backend that turned a cancellation into an error of its own must not have the next offer tried.
            if not isinstance(error, Exception) or _cancelled():
                raise
            failure = judge(gateway, entry, error)
            if isinstance(failure, (Refused, TimedOut)):
                raise failure from None
        else:
            ttft_s = gateway.clock.monotonic() - began
            return Started(entry, job, tab, Meter(bounds, began), first, rest, attempts, ttft_s)
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


def close_tab(gateway: Gateway, tab: Tab) -> asyncio.Future[int] | None:
    """Give back what was set aside, unless the tab was settled; the keeper forgets it."""
    gateway.keeper.tabs.discard(tab)
    return tab.release()


async def _open_tab(
    gateway: Gateway, request: InferenceRequest, principal: Principal, entry: Entry, job_id: str
) -> Tab:
    offer = entry.offer
    tab = await open_tab(
        gateway.ledger,
        Terms(gateway.price(offer).price, offer.node.owner, gateway.pricing.house_bps),
        hold=job_id,
        account=principal.account_id,
        credential=principal.credential_id,
        prompt_tokens=most_prompt_tokens(request.prompt),
        max_tokens=_most_tokens(gateway, request, entry),
        n=request.n,
        lease_us=gateway.lease_us,
        note=offer.model.id,
    )
    gateway.keeper.tabs.add(tab)
    return tab


def _bounds(request: InferenceRequest, candidate: Ranked, tab: Tab) -> Bounds:
    known = candidate.stats
    return Bounds(
        prompt_tokens=most_prompt_tokens(request.prompt),
        aborted_prompt=request.prompt.text_bytes // ABORTED_BYTES_PER_TOKEN,
        completion_tokens=tab.max_tokens * request.n,
        tokens_per_s=known.tokens_per_s,
        ttft_s=known.ttft_s,
    )


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _begin(
    entry: Entry, job: Job, request: InferenceRequest, timeout_s: float
) -> tuple[Batch, AsyncGenerator[Batch, None]]:
    """Send the job. What comes up to and with the first chunk that carries output or ends a choice, and the rest.

    Raises what the backend raises, `TimeoutError`, and `Unavailable` for an answer that ends before it began; then the
    work has been cancelled.
    """
    work = checked(entry.backend.serve(job), request)
    first: Batch = []
    try:
        async with asyncio.timeout(timeout_s):
            async for batch in work:
                first += batch
                if any(chunk.has_output or chunk.finish_reasons for chunk in batch):
                    return first, work
    except BaseException:
        await work.aclose()
        raise
    raise Unavailable("The node ended its answer before it began.")


def _most_tokens(gateway: Gateway, request: InferenceRequest, entry: Entry) -> int:
    """The most tokens that one choice may have, money aside."""
    most = request.needs.max_output_tokens or gateway.limits.max_output_tokens
    context = entry.offer.model.context_length
    return most if context is None else max(1, min(most, context - request.needs.prompt_tokens))


def _job(request: InferenceRequest, entry: Entry, tab: Tab, job_id: str, *, timeout_s: float) -> Job:
    return Job(
        id=job_id,
        offer_id=entry.offer.id,
        path=request.path,
        body=ready_body(request, model=entry.offer.model.id, max_tokens=tab.max_tokens),
        max_output_tokens=tab.max_tokens,
        timeout_s=timeout_s,
    )


def _none_left(failure: LightPhonError) -> LightPhonError:
    if isinstance(failure, (InsufficientBalance, BalanceOnHold)):
        return failure
    retry_after = RETRY_AFTER_S
    reason = "failed"
    if isinstance(failure, Overloaded):
        retry_after = failure.retry_after or RETRY_AFTER_S
        reason = "are busy"
    return NoNodesAvailable(
        f"The nodes that could serve this request {reason}. Try again shortly.", retry_after=retry_after
    )
