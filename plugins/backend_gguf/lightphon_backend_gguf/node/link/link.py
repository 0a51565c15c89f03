"""The node's link to the server: dials, stays connected, and comes back when the connection is lost."""

import asyncio
import logging
import os
import random as randomness
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import structlog
from attrs import frozen
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from lightphon_backend_gguf.node.link.address import is_loopback
from lightphon_backend_gguf.node.link.connection import Connection, End
from lightphon_backend_gguf.node.link.jobs import Post
from lightphon_backend_gguf.node.serving.served import Served
from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.account import Account
from lightphon_backend_gguf.protocol.closing import FINAL, CloseCode
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine
from lightphon_backend_gguf.protocol.messages import Welcome
from lightphon_backend_gguf.protocol.node_session import NodeSession
from lightphon_backend_gguf.protocol.versions import SUBPROTOCOLS

T = TypeVar("T")
StateName = Literal["connecting", "connected", "lost", "draining", "left"]

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_S = 10.0
"""A connection that lasted this long was a good one: the next attempt after it comes soon."""

# At DEBUG the library would write the Authorization header to the log; this logger is reachable by no configuration.
_LIBRARY_LOG = logging.Logger("websockets", level=logging.ERROR)  # noqa: LOG001 - on purpose, see above


class _Direct(connect):
    """Follows no redirect: the token is for the address that the operator gave, and for no other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class LinkRefused(Exception):
    """The server will not have this node, and trying again cannot help. The text is one line for the operator."""


def _unheard(account: Account) -> None:
    del account


@frozen
class LinkState:
    """What the link is doing now. `line` tells the operator."""

    name: StateName
    line: str


class Link:
    """Keeps one node connected.

    `url` comes from `address.link_url`; `name` is what clients see (see `fields.is_node_name`); `software` is this
    program and its version. `report` is called at each change of state, `told` with what the server says of
    the account. `max_jobs` run at once over all models; None: as many as there are slots. Raises ValueError for a token
    or a name that cannot be sent. `clock` (seconds), `sleep` and `random` (0 to 1) are there for tests.
    """

    def __init__(
        self,
        url: str,
        token: str,
        name: str,
        *,
        software: str,
        post: Post,
        report: Callable[[LinkState], None],
        log: structlog.stdlib.BoundLogger,
        told: Callable[[Account], None] | None = None,
        max_jobs: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise ValueError("the node token must be printable ASCII without spaces")
        NodeSession(name, software)  # raises ValueError for names that the protocol does not admit
        self._url = url
        self._token = token
        self._name = name
        self._software = software
        self._post = post
        self._report = report
        self._log = log
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._told = told or _unheard
        self._max_jobs = max_jobs
        self._hardware: Hardware | None = None
        self._machine: Machine | None = None
        self.served: tuple[Served, ...] = ()
        self.paused = False
        self._connection: Connection | None = None
        self._draining = asyncio.Event()

    def serve(self, served: Sequence[Served]) -> None:
        """Offer this from now on, on this connection and the next ones."""
        self.served = tuple(served)
        self._offer()

    def pause(self, paused: bool = True) -> None:
        """Take no new jobs while paused; the running ones go on, and so does the connection."""
        self.paused = paused
        self._offer()

    def describe(self, hardware: Hardware) -> None:
        """Say what the machine is, on this connection and the next ones."""
        self._hardware = hardware
        if self._connection is not None:
            self._connection.describe(hardware)

    def measured(self, machine: Machine) -> None:
        """Say with the next heartbeats how busy the machine is."""
        self._machine = machine

    def drain(self) -> None:
        """Take no new jobs, finish the running ones, and leave: `run` returns then."""
        if not self._draining.is_set():
            self._draining.set()
            self._say("draining", "Draining: taking no new jobs, finishing the running ones.")
        if self._connection is not None:
            self._connection.drain()

    async def run(self) -> None:
        """Stay connected until drained. Raises `LinkRefused`. Cancelling it cancels the jobs and hangs up."""
        failures = 0
        while not self._draining.is_set():
            self._say("connecting", f"Connecting to {self._url}.")
            began = self._clock()
            end = await self._connect()
            if end.code in FINAL:
                raise LinkRefused(f"{self._url}: {FINAL[end.code]}.")
            if self._draining.is_set():
                break
            if self._clock() - began >= STEADY_S:
                failures = 0
            delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures, 16)) * (0.5 + self._random() / 2)
            failures += 1
            self._say("lost", f"Not connected: {end.reason}. Trying again in {delay:.1f} s.")
            await self._unless_draining(self._sleep(delay))
        self._say("left", "Left the server.")

    async def _connect(self) -> End:
        """One connection, from dialling to its end."""
        socket = await self._unless_draining(self._dial())
        if socket is None:
            return End(CloseCode.NORMAL, "drained")
        if isinstance(socket, End):
            return socket
        try:
            session = NodeSession(self._name, self._software)
            connection = Connection(
                socket,
                session,
                self._post,
                self._log,
                self._welcomed,
                told=self._told,
                machine=lambda: self._machine,
                max_jobs=self._max_jobs,
            )
            if self._hardware is not None:
                connection.describe(self._hardware)
            connection.serve(self.served, paused=self.paused)
            if self._draining.is_set():
                connection.drain()
            self._connection = connection
            return await connection.run()
        finally:
            self._connection = None
            await socket.close()

    async def _dial(self) -> ClientConnection | End:
        try:
            return await _Direct(
                self._url,
                subprotocols=[Subprotocol(each) for each in SUBPROTOCOLS],
                additional_headers={"Authorization": f"Bearer {self._token}"},
                user_agent_header=self._software,
                compression=None,
                proxy=None if is_loopback(urlsplit(self._url).hostname or "") else True,
                open_timeout=10,
                close_timeout=2,
                ping_interval=None,  # the protocol has heartbeats of its own
                max_size=limits.MESSAGE_BYTES,
                logger=_LIBRARY_LOG,
            )
        except InvalidStatus as error:
            return End(None, f"the server answered HTTP {error.response.status_code} instead of opening the node link")
        except TimeoutError:
            return End(None, "the server did not answer in time")
        except OSError as error:
            # asyncio's own text is "Connect call failed ('192.0.2.1', 443)"; name look-ups have negative numbers.
            known = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            return End(None, known or "the server cannot be reached")
        except WebSocketException as error:
            return End(None, f"the server did not open the node link ({type(error).__name__})")

    def _offer(self) -> None:
        if self._connection is not None:
            self._connection.serve(self.served, paused=self.paused)

    def _welcomed(self, welcome: Welcome) -> None:
        self._say("connected", f"Connected to {self._url} as {self._name} ({welcome.node_id}).")
        if welcome.notice:
            self._log.warning(f"The server says: {welcome.notice}")

    async def _unless_draining(self, work: Awaitable[T]) -> T | None:
        """What `work` returns, or None if draining began first; `work` is cancelled then."""
        working = asyncio.ensure_future(work)
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait({working, draining}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            draining.cancel()

    def _say(self, name: StateName, line: str) -> None:
        self._report(LinkState(name, line))
