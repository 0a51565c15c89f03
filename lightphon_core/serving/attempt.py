"""Try the offers that can serve a request, one by one, until one yields its first output."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial

from attrs import frozen

from lightphon_core.accounts.sessions import booked_under
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
from lightphon_core.routing.filters import is_free
from lightphon_core.routing.router import RETRY_AFTER_S, Ranked
from lightphon_core.serving.choosing import Choice
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.meter import ABORTED_BYTES_PER_TOKEN, Bounds, Meter, most_prompt_tokens
from lightphon_core.serving.places import Place
from lightphon_core.serving.tab import Tab, Terms, open_tab
from lightphon_core.serving.upstream import Batch
from lightphon_core.serving.work import Work
from lightphon_core.types import Job, Needs, Price, Principal

SLOW = "The model did not answer in time. Ask for fewer tokens (max_tokens), or try a smaller model."
MOST_OVERLOADED = 10
"""How many times a request may meet an offer that is full against all appearances, before it is told so."""


class TooSlow(TimedOut):
    """No first output came within the time for it. Another offer may be quicker."""


@frozen
class Started:
    """An offer that has begun to answer.

    `first` is what it sent up to its first output; the rest of `work` is still to come. `meter` has seen nothing of it
    yet; `tab` is open.
    """

    place: Place
    job_id: str
    tab: Tab
    meter: Meter
    first: Batch
    work: Work
    attempts: int
    ttft_s: float

    @property
    def entry(self) -> Entry:
        return self.place.entry


async def first_output(
    gateway: Gateway, request: InferenceRequest, principal: Principal, choice: Choice, *, deadline: float
) -> Started:
    """The first of the offers, best first, that has a free slot, that wallet and budgets afford, and that answers. A
    request waits for slots, all in all, as long as the settings say. `deadline` is the monotonic time at which the
    whole answer must end.

    Raises `Refused` or `TimedOut` as soon as one offer does; `NoNodesAvailable` when all that may be tried failed or
    are busy; `TooSlow` when the last that was tried had no output in time; `InsufficientBalance` (`BudgetExceeded`) or
    `BalanceOnHold` when none that they afford is left.
    """
    failure: LightPhonError = Unavailable("No offer was tried.")
    clock, limits = gateway.clock, gateway.limits
    attempts = overloaded = 0
    may_wait_s = limits.queue_s
    while choice.candidates and attempts < limits.attempts and overloaded < MOST_OVERLOADED:
        asked = clock.monotonic()
        place = await gateway.waiting.place(
            principal.account_id, choice, wait_s=max(0.0, min(may_wait_s, deadline - asked))
        )
        may_wait_s -= clock.monotonic() - asked
        try:
            return await _attempt(gateway, request, principal, place, deadline=deadline, attempts=attempts + 1)
        except (InsufficientBalance, BalanceOnHold) as error:
            # Money that is only on hold may be free soon: then trying again helps, and a deposit is not needed.
            if not attempts and not isinstance(failure, BalanceOnHold):
                failure = error
            choice.drop(place.entry.key)
            continue
        except Overloaded as error:  # its slots may come free; until then nobody is sent there
            failure = error
            overloaded += 1
        except BackendError as error:
            if isinstance(error, (Refused, TimedOut)) and not isinstance(error, TooSlow):
                raise
            failure = error
            attempts += 1
            choice.drop(place.entry.key)
        choice.rank_anew(clock.monotonic())
    raise _none_left(failure)


async def _attempt(
    gateway: Gateway, request: InferenceRequest, principal: Principal, place: Place, *, deadline: float, attempts: int
) -> Started:
    """Try one offer. Raises what became of it, as one of the port's errors, or why it is not affordable."""
    job_id = "job_" + secrets.token_hex(8)
    try:
        tab = await _open_tab(gateway, request, principal, place.candidate, job_id)
    except BaseException:
        place.given_up()
        place.leave()
        raise
    work: Work | None = None
    first: Batch | None = None
    began = gateway.clock.monotonic()
    try:
        meter = Meter(_bounds(request, place.candidate, tab), began)
        # The job is nobody's but the backend's: it is as large as the request.
        work = _work(gateway, request, place, _job(request, place.entry, tab, job_id, timeout_s=deadline - began))
        # Vectors come all at once, so how long the first takes says nothing of whether the rest will.
        first = await _first(work, None if request.vectors else gateway.limits.first_output_timeout_s)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        raise judge(gateway, place, error) from None
    finally:
        if first is None:
            close_tab(gateway, tab)
            place.given_up()  # unless it was judged
            if work is None:
                place.leave()
            else:
                await work.stop()
    place.answered()
    return Started(place, job_id, tab, meter, first, work, attempts, gateway.clock.monotonic() - began)


def judge(gateway: Gateway, place: Place, error: Exception) -> BackendError:
    """What an attempt's exception means, as one of the port's errors; counted against the offer unless the request is
    at fault, or the offer merely full."""
    match error:
        case Refused():
            return error
        case TimeoutError():
            failure: BackendError = TimedOut(SLOW)
        case BackendError():
            failure = error
        case _:
            if error is not place.fault:  # who reads the answer hears of it, and then who waits for the work to end
                place.fault = error
                gateway.log.error(
                    "a backend raised what its port does not allow", backend=place.entry.backend.name, exc_info=error
                )
            failure = Unavailable("The backend failed.")
    if isinstance(failure, Overloaded):
        place.overloaded(failure.retry_after)
    else:
        place.failed()
    return failure


def close_tab(gateway: Gateway, tab: Tab) -> asyncio.Future[int] | None:
    """Give back what was set aside, unless the tab was settled; the keeper forgets it."""
    gateway.keeper.tabs.discard(tab)
    return tab.release()


async def _open_tab(
    gateway: Gateway, request: InferenceRequest, principal: Principal, candidate: Ranked, job_id: str
) -> Tab:
    offer = candidate.entry.offer
    tab = await open_tab(
        gateway.ledger,
        Terms(_price(gateway, request.needs, candidate), offer.node.owner, gateway.pricing.house_bps),
        hold=job_id,
        account=principal.account_id,
        credential=booked_under(principal),
        prompt_tokens=most_prompt_tokens(request.prompt),
        max_tokens=_most_tokens(gateway, request, candidate.entry),
        n=request.n,
        lease_us=gateway.lease_us,
        note=offer.model.id,
    )
    gateway.keeper.tabs.add(tab)
    return tab


def _price(gateway: Gateway, needs: Needs, candidate: Ranked) -> Price:
    """The price in force; for a request that bounds it, the one that the router found within the bounds: it may have
    risen since."""
    if needs.filters.max_price_msat is not None or is_free(needs):
        return candidate.stats.price
    return gateway.price(candidate.entry.offer).price


def _bounds(request: InferenceRequest, candidate: Ranked, tab: Tab) -> Bounds:
    known = candidate.stats
    return Bounds(
        prompt_tokens=most_prompt_tokens(request.prompt),
        aborted_prompt=request.prompt.text_bytes // ABORTED_BYTES_PER_TOKEN,
        completion_tokens=tab.max_tokens * request.n,
        tokens_per_s=known.tokens_per_s,
        ttft_s=known.ttft_s,
    )


def _work(gateway: Gateway, request: InferenceRequest, place: Place, job: Job) -> Work:
    """Send the job. The place is left when the backend has let go of it."""
    raw = place.entry.backend.serve(job)
    return Work(raw, request, gateway.works, name=job.id, ended=partial(_let_go, gateway, place))


def _let_go(gateway: Gateway, place: Place, error: Exception | None) -> None:
    if error is not None:
        judge(gateway, place, error)
    place.leave()


async def _first(work: Work, timeout_s: float | None) -> Batch:
    """What comes up to and with the first chunk that carries output or ends a choice.

    Raises what the backend raises, `TooSlow`, and `Unavailable` for an answer that ends before it began.
    """
    first: Batch = []
    try:
        async with asyncio.timeout(timeout_s) as timer:
            while (batch := await work.next()) is not None:
                first += batch
                if any(chunk.has_output or chunk.finish_reasons for chunk in batch):
                    return first
    except TimeoutError:
        if not timer.expired():
            raise
        raise TooSlow(SLOW) from None
    raise Unavailable("The node ended its answer before it began.")


def _most_tokens(gateway: Gateway, request: InferenceRequest, entry: Entry) -> int:
    """The most tokens that one choice may have, money aside."""
    if request.vectors is not None:
        return 0
    most = request.needs.max_output_tokens or gateway.limits.max_output_tokens
    context = entry.offer.model.context_length
    return most if context is None else max(1, min(most, context - request.needs.least_context))


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
    if isinstance(failure, (InsufficientBalance, BalanceOnHold, TooSlow)):
        return failure
    retry_after = RETRY_AFTER_S
    reason = "failed"
    if isinstance(failure, Overloaded):
        retry_after = failure.retry_after or RETRY_AFTER_S
        reason = "are busy"
    return NoNodesAvailable(
        f"The nodes that could serve this request {reason}. Try again shortly.", retry_after=retry_after
    )
