"""GET /metrics: what an operator watches, for Prometheus.

Labels are bounded, and none names a person, a key or an account: routes are those of the application, models those on
offer, and no more than `MOST_MODELS`.
"""

from __future__ import annotations

import hashlib
import hmac
import platform
from collections.abc import Iterator

from litestar import Request, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

import lightphon_core
from lightphon_core.errors import Unauthenticated
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.outcome import Outcome
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database
from lightphon_core.web.authentication import credentials_of
from lightphon_core.web.edge.body_room import BodyRoom
from lightphon_core.web.monitoring.prometheus import CONTENT_TYPE, Counter, Histogram, gauge
from lightphon_core.web.operations import answers

MOST_MODELS = 200
LONGEST_MODEL = 200
OTHER, NONE = "other", "none"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
FIRST_OUTPUT_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
WAIT_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WHOLE_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What was counted since the server started. One event loop uses it."""

    def __init__(self) -> None:
        self._requests = Counter(
            "lightphon_http_requests_total",
            "Requests, by route, method and class of status.",
            *("route", "method", "status"),
        )
        self._outcomes = Counter(
            "lightphon_inference_total", "Inference requests that were begun, by how they ended.", "model", "outcome"
        )
        self._tokens = Counter("lightphon_tokens_total", "Tokens that were answered for.", "model", "kind")
        self._cost = Counter("lightphon_cost_msat_total", "Millisatoshi that were charged.", "model")
        self._first = Histogram(
            "lightphon_first_output_seconds",
            "Seconds from a request to its first output.",
            "model",
            bounds=FIRST_OUTPUT_S,
        )
        self._whole = Histogram(
            "lightphon_inference_seconds", "Seconds from a request to its end.", "model", bounds=WHOLE_S
        )
        self._waits = Histogram(
            "lightphon_queue_seconds", "Seconds that requests waited for a slot, by how it ended.", "end", bounds=WAIT_S
        )
        self._by_model = (self._outcomes, self._tokens, self._cost, self._first, self._whole)
        self._models: set[str] = set()
        self._streams = 0

    def request(self, route: str, method: str, status: int) -> None:
        """A request is over; `status` is 0 where no answer began."""
        kind = f"{status // 100}xx" if status else NONE
        self._requests.add(route, method if method in METHODS else OTHER, kind)

    def stream(self, change: int) -> None:
        """A stream of events began (1) or ended (-1)."""
        self._streams += change

    def waited(self, end: str, seconds: float) -> None:
        """A request has waited for a slot, or found no room to."""
        self._waits.observe(end, value=seconds)

    def ended(self, outcome: Outcome) -> None:
        """A journey is over."""
        model = self._label(outcome.model)
        self._outcomes.add(model, outcome.word)
        self._whole.observe(model, value=outcome.seconds)
        if outcome.ttft_s is not None:
            self._first.observe(model, value=outcome.ttft_s)
            self._tokens.add(model, "prompt", amount=outcome.usage.prompt_tokens)
            self._tokens.add(model, "completion", amount=outcome.usage.completion_tokens)
            self._cost.add(model, amount=outcome.cost_msat)

    def page(self, catalogue: Catalogue, *, holds: int, waiting: int, body_bytes: int, writes_lost: int) -> str:
        """Everything, in Prometheus' format."""
        self._make_room(catalogue)
        lines = [line for each in (self._requests, self._waits, *self._by_model) for line in each.lines()]
        lines += self._now(catalogue, holds, waiting, body_bytes)
        lost = Counter("lightphon_database_writes_lost_total", "Writes that the database did not take.")
        lost.add(amount=writes_lost)
        return "\n".join([*lines, *lost.lines(), ""])

    def _now(self, catalogue: Catalogue, holds: int, waiting: int, body_bytes: int) -> Iterator[str]:
        entries = catalogue.entries()
        nodes = {(entry.backend.name, entry.offer.node.id) for entry in entries}
        build = (("version", lightphon_core.__version__), ("python", platform.python_version()))
        yield from gauge("lightphon_open_streams", "Streamed answers under way.", self._streams)
        yield from gauge("lightphon_nodes_online", "Nodes that offer something.", len(nodes))
        yield from gauge("lightphon_offers_online", "Models on nodes.", len(entries))
        yield from gauge("lightphon_holds_open", "Answers under way that money is set aside for.", holds)
        yield from gauge("lightphon_queue_length", "Requests that wait for a slot.", waiting)
        yield from gauge("lightphon_body_bytes", "Bytes of requests under way that are held.", body_bytes)
        yield from gauge("lightphon_build_info", "What runs.", 1, build)

    def _label(self, model: str | None) -> str:
        if model is None:
            return NONE
        if model not in self._models:
            if len(self._models) >= MOST_MODELS or len(model) > LONGEST_MODEL:
                return OTHER
            self._models.add(model)
        return model

    def _make_room(self, catalogue: Catalogue) -> None:
        """Once there are as many models as may be, those that are no longer on offer make way for new ones."""
        if len(self._models) < MOST_MODELS:
            return
        self._models &= {listed.model.id for listed in catalogue.models()}
        kept = {*self._models, OTHER, NONE}
        for series in self._by_model:
            series.keep(lambda labels: labels[0] in kept)


@get(
    "/metrics",
    name="metrics",
    tags=["server"],
    security=[{"metrics": []}],
    responses=answers(str, 401, 404, media_type=CONTENT_TYPE),
)
async def metrics(request: Request[None, None, State]) -> ASGIApp:
    """Counters and gauges for Prometheus, for whoever has `metrics_token` of `[server]`; no key opens it."""
    settings: Settings = request.app.state.settings
    token = settings.server.metrics_token
    if token is None:
        raise NotFoundException
    shown = credentials_of(request).bearer
    if shown is None or not hmac.compare_digest(_digest(shown), _digest(token.reveal())):
        raise Unauthenticated("The metrics are for whoever has the metrics_token of [server], as a bearer token.")
    gateway: Gateway = request.app.state.gateway
    database: Database = request.app.state.database
    room: BodyRoom = request.app.state.body_room
    counted: Metrics = request.app.state.metrics
    page = counted.page(
        gateway.catalogue,
        holds=len(gateway.keeper.tabs),
        waiting=len(gateway.waiting),
        body_bytes=room.held,
        writes_lost=database.writes_lost,
    )
    return ASGIResponse(body=page.encode(), media_type=CONTENT_TYPE, headers={"cache-control": "no-store"})


def _digest(text: str) -> bytes:
    """Of one length, so that comparing tells nothing about the token's."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
