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
from lightphon_core.openai.assemble import AnswerTooLarge
from lightphon_core.openai.chunks import Envelope
from lightphon_core.openai.errors import error_chunk
from lightphon_core.openai.request import InferenceRequest
from lightphon_core.openai.selection import AUTO
from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.router import RETRY_AFTER_S, Ranked
from lightphon_core.serving import report
from lightphon_core.serving.admission import Admission
from lightphon_core.serving.attempt import Started, close_tab, first_output, judge
from lightphon_core.serving.choosing import Choice
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.outlet import ClientTooSlow, Outlet
from lightphon_core.serving.relay import relay
from lightphon_core.serving.revocation import Still
from lightphon_core.serving.sinks import Sink, StreamSink, VectorSink, WholeSink
from lightphon_core.serving.tab import hold_lost
from lightphon_core.types import Principal


def begin(
    gateway: Gateway,
    request: InferenceRequest,
    principal: Principal,
    request_id: str,
    admission: Admission,
    still: Still | None = None,
) -> Exchange:
    """Rank the offers for a request that was admitted, and set the journey going, which ends the admission. `still`
    asks again whom it acts for; the answer ends where that is no longer allowed.

    Raises what `routing.router.rank` raises, before anything was sent anywhere; the admission is over then.
    """
    try:
        if gateway.closing:
            raise _stopping()
        # Ranked again while it waits, and after an offer failed.
        request = evolve(request, needs=gateway.needs_of(principal, request.needs, request.session))
        ranking = gateway.router.rank(request.needs, allowed=principal.models)
        return Exchange(gateway, request, principal, request_id, admission, ranking.candidates, still)
    except BaseException:
        admission.end()
        request.let_go()
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
        still: Still | None,
    ) -> None:
        self._gateway = gateway
        self._request = request
        self._principal = principal
        self._request_id = request_id
        self._admission = admission
        self._began = gateway.clock.monotonic()
        self._choice = Choice(gateway.router, gateway.places, request.needs, principal.models, ranked, self._began)
        name = request.form.id + secrets.token_hex(12)
        self._envelope = Envelope(name, request.model or AUTO, int(gateway.clock.now()), request.form)
        self._started: Started | None = None
        self._body = b""
        self._charged = 0
        self._settling: asyncio.Future[int] | None = None
        self._error: LightPhonError | None = None
        self._has_begun = False
        self._gone = False
        self._cut_off: LightPhonError | None = None
        self.outlet: Outlet | None = None
        if request.stream:
            self.outlet = Outlet(
                limit=gateway.limits.max_unread_bytes,
                keep_alive_s=gateway.limits.keep_alive_s,
                render=lambda error: error_chunk(error, self._envelope),
                abandon=self.abandon,
            )
        self._task = gateway.tasks.spawn(self._journey(), name=request_id)
        self._task.add_done_callback(lambda _: self._over())
        if still is not None:
            forget = gateway.revocation.watch(principal.account_id, principal.credential_id, still, self.cut_off)
            self._task.add_done_callback(lambda _: forget())

    @property
    def routing_info(self) -> Mapping[str, object] | None:
        """Who answers; None until the first output is there."""
        return None if self._started is None else report.routing_info(self._started)

    def abandon(self) -> None:
        """The client has gone. Does nothing to an exchange that is over."""
        self._gone = True
        self._task.cancel()

    def cut_off(self, error: LightPhonError) -> None:
        """The credential holds no more: nothing more is sent but the error. What was delivered is charged for, as of a
        client that leaves: its node has done the work, and somebody has it."""
        self._cut_off = error
        self._task.cancel()

    async def whole(self) -> bytes | None:
        """The unstreamed answer; None if the client went away first. Raises what the journey raised."""
        await asyncio.wait({self._task})
        if self._error is not None:
            raise self._error
        return self._body or None  # what was charged is delivered, also where the journey was cancelled after that

    async def _journey(self) -> None:
        self._has_begun = True
        outcome = "ok"
        try:
            await self._answer()
        except LightPhonError as error:
            self._error, outcome = error, type(error).__name__
        except ClientTooSlow:
            outcome = "client too slow"
        except asyncio.CancelledError:
            outcome = self._who_ended()
            self._error = None if self._gone else self._why_ended()
            raise
        except Exception as error:  # whatever it is, the client must not take it for an answer, or pay for it
            self._gateway.log.error("a request failed by a fault of ours", request_id=self._request_id, exc_info=error)
            self._error, outcome = LightPhonError("The gateway failed to handle this request."), "fault"
        finally:
            # What must be paid is asked for before anything is waited for: a second cancellation could come meanwhile.
            settling = self._close_tab()
            try:
                if self._started is not None:
                    self._started.place.given_up()  # unless how it went was said
                    await self._started.work.stop()
                if settling is not None:
                    await asyncio.wait({settling})
                    self._charged = 0 if settling.exception() else settling.result()
            finally:
                self._log(outcome)
                if self.outlet is not None:
                    self.outlet.end(self._error)

    def _over(self) -> None:
        """The journey has ended, or was cancelled before its first step."""
        if not self._has_begun:
            self._error = None if self._gone else self._why_ended()
            self._log(self._who_ended())
            if self.outlet is not None:
                self.outlet.end(self._error)
        self._end_admission()
        self._request.let_go()

    def _who_ended(self) -> str:
        """Whoever cancelled the journey, as the log has it."""
        return "client gone" if self._gone else "cut off" if self._cut_off else "server stopping"

    def _why_ended(self) -> LightPhonError:
        return self._cut_off or _stopping()

    async def _answer(self) -> None:
        """Attempt, relay and settle; every failure leaves as a `LightPhonError`."""
        gateway, request = self._gateway, self._request
        deadline = self._began + gateway.limits.total_timeout_s
        try:
            async with asyncio.timeout(gateway.limits.total_timeout_s):
                self._started = started = await first_output(
                    gateway, request, self._principal, self._choice, deadline=deadline
                )
                request.let_go()
                model = started.entry.offer.model.id
                self._envelope = Envelope(self._envelope.id, model, self._envelope.created, request.form)
                whole = (VectorSink if request.vectors else WholeSink)(self._envelope)
                sink: Sink = whole
                if self.outlet is not None:
                    sink = StreamSink(self.outlet, self._envelope, request.include_usage)
                await self._relay(started, sink)
        except TimeoutError:
            if self._choice.waits:
                raise gateway.waiting.busy(self._choice) from None
            raise TimedOut("The answer was not complete in time. Ask for fewer tokens (max_tokens).") from None
        # The commit comes after what it charges has left, and before the chunk that shows the cost. The time-out does
        # not reach it: whoever is told of a time-out has not been charged.
        await sink.drained()
        self._charged = await self._committed(self._settle(started))
        # Before the client hears of the end: its next request may need the place.
        self._end_admission()
        sink.finish(report.usage(started, self._charged), report.routing_info(started))
        self._body = whole.body

    async def _relay(self, started: Started, sink: Sink) -> None:
        gateway, place = self._gateway, started.place
        try:
            asked = self._request
            started.work.expect_more(gateway.limits.silence_timeout_s)
            await relay(started, sink, n=asked.n, form=asked.form, monotonic=gateway.clock.monotonic)
        except asyncio.CancelledError:
            if self._gone:
                self._remember(started.entry)  # a person who stopped an answer often asks again, and the prompt is read
            raise
        except (ClientTooSlow, StorageUnavailable):
            raise
        except AnswerTooLarge:
            raise Unavailable("The answer is larger than the gateway holds; stream it.") from None
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            raise judge(gateway, place, error) from None
        place.succeeded(
            ttft_s=started.ttft_s,
            tokens=started.meter.chunks,
            seconds=gateway.clock.monotonic() - started.meter.began - started.ttft_s,
        )
        self._remember(started.entry)

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
        self._settling = started.tab.settle(measured, report.usage_row(started, self._principal))
        return self._settling

    def _close_tab(self) -> asyncio.Future[int] | None:
        """Settle what is still open: a client that left, or was cut off, pays for what it received; where node or
        gateway failed nobody pays, and nobody is paid."""
        started = self._started
        if started is None or started.tab.is_settled:
            return self._settling
        if self._is_delivered:
            return self._settle(started)
        return close_tab(self._gateway, started.tab)

    @property
    def _is_delivered(self) -> bool:
        """Whether what came of the answer counts. Of a whole one nothing is delivered before its end."""
        return self._error is None or (self._error is self._cut_off and self._request.stream)

    def _end_admission(self) -> None:
        """As with money, what failed counts no tokens, and a client that left has had what it received."""
        tokens = 0
        if self._is_delivered and self._started is not None:
            tokens = self._started.meter.measured().usage.total_tokens
        self._admission.end(tokens)

    def _log(self, word: str) -> None:
        """One line."""
        gateway, started = self._gateway, self._started
        outcome = report.outcome(word, self._began, gateway.clock.monotonic(), started, self._charged)
        gateway.ended(outcome)
        gateway.log.info(
            "inference",
            request_id=self._request_id,
            account=self._principal.account_id,
            credential=self._principal.credential_id,
            path=self._request.needs.path,
            stream=self._request.stream,
            **report.log_fields(outcome, started),
        )


def _stopping() -> NoNodesAvailable:
    return NoNodesAvailable("The server is restarting. Try again shortly.", retry_after=RETRY_AFTER_S)
