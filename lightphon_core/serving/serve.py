"""The journey of one request: admitted by the route, ranked here, attempted, relayed, and written down.

It runs in a task of its own, apart from the client's connection, whose end cancels it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence

from attrs import evolve

from lightphon_core.errors import LightPhonError, NoNodesAvailable, StorageUnavailable, TimedOut, Unavailable
from lightphon_core.ledger.commands import HoldLost
from lightphon_core.money import sats
from lightphon_core.openai.assemble import AnswerTooLarge
from lightphon_core.openai.chunks import Envelope, usage_fields
from lightphon_core.openai.errors import error_chunk
from lightphon_core.openai.request import InferenceRequest
from lightphon_core.openai.selection import AUTO
from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.router import RETRY_AFTER_S, Ranked
from lightphon_core.serving.admission import Admission, admit
from lightphon_core.serving.attempt import Started, close_tab, first_output, judge
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.outcome import Outcome
from lightphon_core.serving.outlet import ClientTooSlow, Outlet
from lightphon_core.serving.relay import relay
from lightphon_core.serving.sinks import Sink, StreamSink, WholeSink
from lightphon_core.serving.tab import hold_lost
from lightphon_core.types import Principal, Standing


async def begin(gateway: Gateway, request: InferenceRequest, principal: Principal, request_id: str) -> Exchange:
    """Count the request under its limits, rank the offers, and set the journey going.

    Raises what `serving.admission.admit` and `routing.router.rank` raise, before anything was sent anywhere.
    """
    admission = await admit(gateway.limiter, principal, gateway.account_limits, request.needs.prompt_tokens)
    try:
        if gateway.closing:
            raise _stopping()
        request = evolve(request, needs=gateway.needs_of(principal, request.needs, request.session))
        ranking = gateway.router.rank(request.needs, allowed=principal.models)
        return Exchange(gateway, request, principal, request_id, admission, ranking.candidates)
    except BaseException:
        admission.end()
        raise


class Exchange:
    """One request that is under way.

    `outlet` is where a streamed answer is read; it is None for a whole one, which `whole()` waits for. `abandon()` says
    that the client has gone: the node's work is cancelled at once.
    """

    def __init__(
        self,
        gateway: Gateway,
        request: InferenceRequest,
        principal: Principal,
        request_id: str,
        admission: Admission,
        ranked: Sequence[Ranked],
    ) -> None:
        self._gateway = gateway
        self._request = request
        self._principal = principal
        self._request_id = request_id
        self._admission = admission
        self._ranked = ranked
        self._began = gateway.clock.monotonic()
        self._envelope = Envelope("chatcmpl-" + secrets.token_hex(12), request.model or AUTO, int(gateway.clock.now()))
        self._started: Started | None = None
        self._body = b""
        self._charged = 0
        self._settling: asyncio.Future[int] | None = None
        self._error: LightPhonError | None = None
        self._gone = False
        self.outlet: Outlet | None = None
        if request.stream:
            self.outlet = Outlet(
                limit=gateway.limits.max_unread_bytes,
                keep_alive_s=gateway.limits.keep_alive_s,
                render=lambda error: error_chunk(error, self._envelope),
                abandon=self.abandon,
            )
        self._task = gateway.tasks.spawn(self._journey(), name=request_id)
        # Not in the journey, which may be cancelled before its first step.
        self._task.add_done_callback(lambda _: self._end_admission())

    @property
    def standings(self) -> Sequence[Standing]:
        """What is left of the limits a minute that the request was counted under."""
        return self._admission.standings

    @property
    def routing_info(self) -> Mapping[str, object] | None:
        """Who answers; None until the first output is there."""
        return None if self._started is None else _routing_info(self._started)

    def abandon(self) -> None:
        """The client has gone. Does nothing to an exchange that is over."""
        self._gone = True
        self._task.cancel()

    async def whole(self) -> bytes | None:
        """The unstreamed answer; None if the client went away first. Raises what the journey raised."""
        await asyncio.wait({self._task})
        if self._error is not None:
            raise self._error
        return None if self._task.cancelled() else self._body

    async def _journey(self) -> None:
        outcome = "ok"
        try:
            await self._answer()
        except LightPhonError as error:
            self._error, outcome = error, type(error).__name__
        except ClientTooSlow:
            outcome = "client too slow"
        except asyncio.CancelledError:
            outcome = "client gone" if self._gone else "server stopping"
            if not self._gone:
                self._error = _stopping()
            raise
        except Exception as error:  # whatever it is, the client must not take it for an answer, or pay for it
            self._gateway.log.error("a request failed by a fault of ours", request_id=self._request_id, exc_info=error)
            self._error, outcome = LightPhonError("The gateway failed to handle this request."), "fault"
        finally:
            # What must be paid is asked for before anything is waited for: a second cancellation could come meanwhile.
            settling = self._close_tab()
            try:
                if self._started is not None:
                    await self._hang_up(self._started)
                if settling is not None:
                    await asyncio.wait({settling})
                    self._charged = 0 if settling.exception() else settling.result()
            finally:
                self._log(outcome)
                if self.outlet is not None:
                    self.outlet.end(self._error)

    async def _hang_up(self, started: Started) -> None:
        """Cancel what the offer still does. A backend that fails at that must not keep the answer from its end."""
        try:
            await started.rest.aclose()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            judge(self._gateway, started.entry, error)

    async def _answer(self) -> None:
        """Attempt, relay and settle; every failure leaves as a `LightPhonError`."""
        gateway, request = self._gateway, self._request
        deadline = self._began + gateway.limits.total_timeout_s
        try:
            async with asyncio.timeout(gateway.limits.total_timeout_s):
                self._started = started = await first_output(
                    gateway, request, self._principal, self._ranked, deadline=deadline
                )
                model = started.entry.offer.model.id
                self._envelope = Envelope(self._envelope.id, model, self._envelope.created)
                whole = WholeSink(self._envelope)
                sink: Sink = whole
                if self.outlet is not None:
                    sink = StreamSink(self.outlet, self._envelope, request.include_usage)
                await self._relay(started, sink)
        except TimeoutError:
            raise TimedOut("The answer was not complete in time. Ask for fewer tokens (max_tokens).") from None
        # The commit comes after what it charges has left, and before the chunk that shows the cost. The time-out does
        # not reach it: whoever is told of a time-out has not been charged.
        await sink.drained()
        self._charged = await self._committed(self._settle(started))
        # Before the client hears of the end: its next request may need the place.
        self._end_admission()
        sink.finish(self._usage(started), _routing_info(started))
        self._body = whole.body

    async def _relay(self, started: Started, sink: Sink) -> None:
        gateway, entry = self._gateway, started.entry
        try:
            await relay(started, sink, n=self._request.n, monotonic=gateway.clock.monotonic)
        except asyncio.CancelledError:
            if self._gone:
                self._remember(entry)  # a person who stopped an answer often asks again, and the prompt is read
            raise
        except (ClientTooSlow, TimeoutError, StorageUnavailable):
            raise
        except AnswerTooLarge:
            raise Unavailable("The answer is larger than the gateway holds; stream it.") from None
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            raise judge(gateway, entry, error) from None
        gateway.observations.answered(
            entry.key,
            ttft_s=started.ttft_s,
            tokens=started.meter.chunks,
            seconds=gateway.clock.monotonic() - started.meter.began - started.ttft_s,
        )
        self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        """The next request of this conversation had better go where this one went."""
        session = self._request.needs.session
        if session is not None:
            self._gateway.sessions.answered(session, entry.key)

    async def _committed(self, settling: asyncio.Future[int]) -> int:
        """What was charged. A server that stops waits for it, so that nobody is charged and told to try again."""
        while not settling.done():
            try:
                await asyncio.wait({settling})
            except asyncio.CancelledError:
                if self._gone:
                    raise
        try:
            return settling.result()
        except HoldLost:
            raise hold_lost() from None

    def _settle(self, started: Started) -> asyncio.Future[int]:
        measured = started.meter.measured()
        self._gateway.keeper.tabs.discard(started.tab)
        self._settling = started.tab.settle(
            measured,
            {
                "id": started.job.id,
                "account_id": self._principal.account_id,
                "credential_id": self._principal.credential_id,
                "model": started.entry.offer.model.id,
                "node_id": started.entry.offer.node.id,
                "prompt_tokens": measured.usage.prompt_tokens,
                "completion_tokens": measured.usage.completion_tokens,
                "ms": measured.ms,
            },
        )
        return self._settling

    def _close_tab(self) -> asyncio.Future[int] | None:
        """Settle what is still open: a client that left pays for what it received; where node or gateway failed nobody
        pays, and nobody is paid."""
        started = self._started
        if started is None or started.tab.is_settled:
            return self._settling
        if self._error is None:
            return self._settle(started)
        return close_tab(self._gateway, started.tab)

    def _end_admission(self) -> None:
        """As with money, what failed counts no tokens, and a client that left has had what it received."""
        tokens = 0
        if self._error is None and self._started is not None:
            tokens = self._started.meter.measured().usage.total_tokens
        self._admission.end(tokens)

    def _usage(self, started: Started) -> dict[str, object]:
        cost = {"cost_msat": self._charged, "cost": sats(self._charged), "cost_currency": "sat"}
        return usage_fields(started.meter.measured().usage) | cost

    def _log(self, outcome: str) -> None:
        """One line, and nothing of what was asked or answered."""
        started, clock = self._started, self._gateway.clock
        seconds = clock.monotonic() - self._began
        ended = Outcome(outcome, seconds)
        fields: dict[str, object] = {}
        if started is not None:
            usage = started.meter.measured().usage
            offer = started.entry.offer
            ttft_s = started.meter.began + started.ttft_s - self._began
            speed = started.meter.tokens_per_s(started.ttft_s)
            ended = Outcome(outcome, seconds, offer.model.id, ttft_s, usage, self._charged, speed)
            fields = {
                "model": offer.model.id,
                "backend": started.entry.backend.name,
                "node": offer.node.id,
                "attempts": started.attempts,
                "ttft_ms": round(started.ttft_s * 1000, 1),
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cost_msat": self._charged,
            }
        self._gateway.ended(ended)
        self._gateway.log.info(
            "inference",
            request_id=self._request_id,
            account=self._principal.account_id,
            credential=self._principal.credential_id,
            outcome=outcome,
            stream=self._request.stream,
            ms=round(seconds * 1000, 1),
            **fields,
        )


def _stopping() -> NoNodesAvailable:
    return NoNodesAvailable("The server is restarting. Try again shortly.", retry_after=RETRY_AFTER_S)


def _routing_info(started: Started) -> dict[str, object]:
    offer = started.entry.offer
    return {
        "backend": started.entry.backend.name,
        "node": offer.node.id,
        "node_name": offer.node.name,
        "model": offer.model.id,
        "attempts": started.attempts,
        "ttft_ms": round(started.ttft_s * 1000, 1),
    }
