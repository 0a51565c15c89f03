"""The operator's side of a running node: pausing and the schedule, the control socket, and how it is doing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import structlog
from attrs import frozen

from lightphon_backend_gguf.node.link.link import Link, LinkState
from lightphon_backend_gguf.node.operator.control import Command, ControlError, ControlServer, Reply, socket_path
from lightphon_backend_gguf.node.operator.price import price_text
from lightphon_backend_gguf.node.operator.schedule import Schedule
from lightphon_backend_gguf.node.operator.status import SET_BY, ModelStatus, Status, to_json
from lightphon_backend_gguf.node.operator.tally import Tally
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.protocol.account import Account, OfferPrice
from lightphon_backend_gguf.protocol.messages import OfferMessage

SCHEDULE_S = 5.0
"""How often the schedule is looked at: a clock may be set, and a machine may sleep."""
SHOWN_S = 0.5
"""How often the live view is drawn."""


@frozen
class OperationOptions:
    """What the operator wants of a running node. `schedule` None: jobs are taken at all times. `max_jobs` is over all
    models. `show` draws the live view. `state_dir` is where the control socket is; None: there is none."""

    schedule: Schedule | None = None
    max_jobs: int | None = None
    state_dir: Path | None = None
    show: Callable[[Status], None] | None = None


class Operation:
    """One per run of a node. `stop` begins to stop the node. `clock` is in seconds, `now` the local time."""

    def __init__(
        self,
        options: OperationOptions,
        *,
        name: str,
        url: str,
        offers: Sequence[OfferMessage],
        stop: Callable[[], None],
        log: structlog.stdlib.BoundLogger,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.tally = Tally(self._offer_of)
        self._options = options
        self._name = name
        self._url = url
        self._offers = {offer.id: offer for offer in offers}
        self._stop = stop
        self._log = log
        self._clock = clock
        self._now = now
        self._began = clock()
        self._by_hand = False
        self._told = Account()
        self._state = LinkState("connecting", "Not connected yet.")
        self._link: Link | None = None

    # What the link says

    def report(self, state: LinkState) -> None:
        """The link changed its state."""
        self._state = state

    def told(self, account: Account) -> None:
        """The server says how the account stands."""
        before = {price.offer: price for price in self._told.prices}
        for price in account.prices:
            if price.set_by != "node" and before.get(price.offer) != price:
                whose = SET_BY.get(price.set_by, "set by the server")
                self._log.info(f"Price of {price.offer}: {price_text(price.price)}, {whose}.")
        self._told = account

    # What the operator says

    def answer(self, command: Command) -> Reply:
        """Carry out what came by the control socket."""
        match command:
            case "pause":
                self._by_hand = True
                message = "Paused: no new jobs; those that run finish."
            case "resume":
                self._by_hand = False
                reason = self.paused()
                message = f"Still paused {reason}." if reason else "Taking jobs."
            case "stop":
                self._stop()
                message = "Stopping: no new jobs; those that run finish."
            case "status":
                message = ""
        self.apply()
        return Reply(message, to_json(self.status()))

    def paused(self) -> str | None:
        """Why no new jobs are taken, in words; None where they are. A pause by hand comes before the schedule."""
        if self._by_hand:
            return "by hand"
        schedule, now = self._options.schedule, self._now()
        if schedule is None or schedule.is_open(now):
            return None
        change = schedule.next_change(now)
        return f"by the schedule until {change:%a %H:%M}" if change else "by the schedule"

    def apply(self) -> None:
        """Have the link offer what it should now."""
        reason = self.paused()
        if self._link is not None and self._link.paused != (reason is not None):
            self._log.info(f"Paused {reason}." if reason else "Taking jobs.")
            self._link.pause(reason is not None)

    # How it is doing

    def status(self) -> Status:
        """How the node is doing now."""
        served = {item.offer.id: item for item in self._link.served} if self._link else {}
        prices = {price.offer: price for price in self._told.prices}
        reason = self.paused()
        models = []
        for offer_id, planned in self._offers.items():
            item = served.get(offer_id)
            offer = item.offer if item else planned
            state = "not running" if item is None else "paused" if reason else "offered"
            models.append(self._model(offer, state, prices.get(offer_id), item.speed.decode if item else None))
        return Status(
            name=self._name,
            server=self._url,
            link=self._state.name,
            link_line=self._state.line,
            paused=reason,
            max_jobs=self._options.max_jobs,
            uptime_s=round(self._clock() - self._began, 1),
            models=tuple(models),
            earnings=self._told.earnings,
        )

    def _model(self, offer: OfferMessage, state: str, told: OfferPrice | None, speed: float | None) -> ModelStatus:
        count = self.tally.of(offer.id)
        return ModelStatus(
            id=offer.model.id,
            state=state,
            slots=offer.slots,
            busy=count.busy,
            done=count.done,
            failed=count.failed,
            refused=count.refused,
            cancelled=count.cancelled,
            tokens_per_s=speed,
            price=told.price if told else offer.price,
            price_set_by=told.set_by if told else None,
        )

    def _offer_of(self, endpoint: Endpoint) -> str:
        served = self._link.served if self._link else ()
        return next((item.offer.id for item in served if item.endpoint == endpoint), endpoint.model)

    @asynccontextmanager
    async def running(self, link: Link) -> AsyncGenerator[None, None]:
        """Keep the schedule, listen to the operator, and draw the view, for as long as the block runs."""
        self._link = link
        self.apply()
        async with contextlib.AsyncExitStack() as stack:
            await self._listen(stack)
            loops = [asyncio.create_task(self._keep_schedule()), asyncio.create_task(self._draw())]
            try:
                yield
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        if self._options.state_dir is None:
            return
        path = socket_path(self._options.state_dir, self._url, self._name)
        try:
            await stack.enter_async_context(ControlServer(path, self.answer))
        except ControlError as error:
            self._log.warning(f"`lightphon-node status`, pause, resume and stop will not reach this node: {error}.")

    async def _keep_schedule(self) -> None:
        while self._options.schedule is not None:
            await asyncio.sleep(SCHEDULE_S)
            self.apply()

    async def _draw(self) -> None:
        while self._options.show is not None:
            self._options.show(self.status())
            await asyncio.sleep(SHOWN_S)
