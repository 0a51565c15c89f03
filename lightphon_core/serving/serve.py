"""The journey of one request: admitted by the route, ranked here, attempted, relayed, and written down.

It runs in a task of its own, apart from the client's connection, whose end cancels it.
"""

from __future__ import annotations

import asyncio
import secrets

from lightphon_core.errors import LightPhonError, NoNodesAvailable, TimedOut, Unavailable
from lightphon_core.openai.assemble import AnswerTooLarge
from lightphon_core.openai.chunks import Envelope
from lightphon_core.openai.errors import error_chunk
from lightphon_core.openai.request import AUTO, InferenceRequest
from lightphon_core.routing.router import RETRY_AFTER_S, Ranked, rank
from lightphon_core.serving.attempt import Started, first_output, judge
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.outlet import ClientTooSlow, Outlet
from lightphon_core.serving.relay import Meter, StreamSink, WholeSink, relay
from lightphon_core.types import Principal


def begin(gateway: Gateway, request: InferenceRequest, principal: Principal, request_id: str) -> Exchange:
    """Rank the offers, and set the journey going. Needs a running event loop.

    Raises what `routing.router.rank` raises, before anything was sent anywhere.
    """
    if gateway.closing:
        raise _stopping()
    ranked = rank(gateway.catalogue, request.needs, gateway.scorers, gateway.stats)
    return Exchange(gateway, request, principal, request_id, ranked)


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
        ranked: list[Ranked],
    ) -> None:
        self._gateway = gateway
        self._request = request
        self._principal = principal
        self._request_id = request_id
        self._ranked = ranked
        self._began = gateway.clock.monotonic()
        self._envelope = Envelope("chatcmpl-" + secrets.token_hex(12), request.model or AUTO, int(gateway.clock.now()))
        self._meter = Meter()
        self._started: Started | None = None
        self._body = b""
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
            outcome = "client gone"
            if not self._gone:
                outcome = "server stopping"
                self._error = _stopping()
            raise
        finally:
            if self._started is not None:
                await self._started.rest.aclose()
            self._log(outcome)
            if self.outlet is not None:
                self.outlet.end(self._error)

    async def _answer(self) -> None:
        """Attempt and relay; every failure leaves as a `LightPhonError`."""
        gateway, request = self._gateway, self._request
        deadline = self._began + gateway.limits.total_timeout_s
        try:
            async with asyncio.timeout(gateway.limits.total_timeout_s):
                self._started = started = await first_output(gateway, request, self._ranked, deadline=deadline)
                model = started.entry.offer.model.id
                self._envelope = Envelope(self._envelope.id, model, self._envelope.created)
                if self.outlet is not None:
                    await self._relay(started, StreamSink(self.outlet, self._envelope, request.include_usage))
                else:
                    whole = WholeSink(self._envelope)
                    await self._relay(started, whole)
                    self._body = whole.body
        except TimeoutError:
            raise TimedOut("The answer was not complete in time. Ask for fewer tokens (max_tokens).") from None

    async def _relay(self, started: Started, sink: StreamSink | WholeSink) -> None:
        gateway, entry = self._gateway, started.entry
        try:
            await relay(started, sink, self._meter, n=self._request.n, routing_info=_routing_info(started))
        except (ClientTooSlow, TimeoutError):
            raise
        except AnswerTooLarge:
            raise Unavailable("The answer is larger than the gateway holds; stream it.") from None
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            raise judge(gateway, entry, error) from None
        gateway.observations.answered(
            entry.key,
            ttft_s=started.ttft_s,
            tokens=self._meter.chunks,
            seconds=gateway.clock.monotonic() - self._began - started.ttft_s,
        )

    def _log(self, outcome: str) -> None:
        """One line, and nothing of what was asked or answered."""
        started, clock = self._started, self._gateway.clock
        fields: dict[str, object] = {}
        if started is not None:
            usage = self._meter.usage(most=started.job.max_output_tokens, prompt_bytes=len(started.job.body))
            offer = started.entry.offer
            fields = {
                "model": offer.model.id,
                "backend": started.entry.backend.name,
                "node": offer.node.id,
                "attempts": started.attempts,
                "ttft_ms": round(started.ttft_s * 1000, 1),
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
            }
        self._gateway.log.info(
            "inference",
            request_id=self._request_id,
            account=self._principal.account_id,
            credential=self._principal.credential_id,
            outcome=outcome,
            stream=self._request.stream,
            ms=round((clock.monotonic() - self._began) * 1000, 1),
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
