"""A real server with the node link in it, engines that do as a job's body says, and nodes that dial in."""

import asyncio
import contextlib
import json
import socket as sockets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import structlog
import uvicorn
from attrs import define, field
from lightphon_backend_gguf.hub.backend import NodeBackend
from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.node.link.link import Link, LinkState
from lightphon_backend_gguf.node.serving.served import Endpoint, Served
from lightphon_backend_gguf.plugin import Gguf
from lightphon_backend_gguf.protocol import codec, frames
from lightphon_backend_gguf.protocol.messages import (
    SUBPROTOCOL,
    Hello,
    JobFailed,
    Message,
    ModelFacts,
    OfferMessage,
    Offers,
    Welcome,
)
from litestar import Litestar
from litestar.connection import ASGIConnection
from websockets.asyncio.client import ClientConnection, connect

from lightphon_core import Host, Job, LightPhonError, Principal, Scope, Tasks, Unauthenticated
from lightphon_core.host import AccountChanges
from lightphon_core.web.edge.sockets import BoundedSockets

LOG: Any = structlog.get_logger()
PATH = "/v1/chat/completions"


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        return time.time()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the test's process keeps its own


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail if that takes too long."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def offer(name: str = "m", slots: int = 4) -> OfferMessage:
    return OfferMessage(id=name, model=ModelFacts(id=f"maker/{name}", capabilities=("chat", "psychic")), slots=slots)


def served(name: str = "m", slots: int = 4) -> Served:
    return Served(offer(name, slots), Endpoint(url="http://127.0.0.1:1", key="k", model=name))


@pytest.fixture(scope="session")
def make_offer() -> Callable[..., OfferMessage]:
    """`make_offer(name, slots)`: an offer of a model named "maker/NAME"."""
    return offer


@pytest.fixture(scope="session")
def make_served() -> Callable[..., Served]:
    """The same with an endpoint."""
    return served


@define
class Hub:
    """A server on a loopback port, and what stands behind it."""

    settings: GgufSettings
    tokens: dict[str, Principal | LightPhonError] = field(factory=dict)
    changes: int = 0
    checks: int = 0
    port: int = 0
    backend: NodeBackend = field(init=False)
    _accounts: AccountChanges = field(factory=AccountChanges)
    _server: _Server = field(init=False)
    _serving: asyncio.Task[None] = field(init=False)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/node-link"

    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Principal:
        self.checks += 1
        found = self.tokens.get(connection.headers.get("authorization", ""))
        if isinstance(found, Principal):
            return found
        raise found or Unauthenticated("Unknown token.")

    def account_changed(self, account_id: str) -> None:
        self._accounts.publish(account_id)

    def changed(self) -> None:
        self.changes += 1

    async def start(self) -> None:
        host = Host(
            "gguf",
            self.settings,
            LOG,
            SystemClock(),
            Tasks(LOG),
            self.changed,
            self.authenticate,
            self._accounts.subscribe,
        )
        plugin = Gguf(host)
        (backend,) = plugin.register_backends()
        assert isinstance(backend, NodeBackend)
        self.backend = backend
        app = Litestar(
            [*plugin.register_routes()], on_shutdown=[backend.stop], openapi_config=None, logging_config=None
        )
        # With the protocol named, or asyncio leaves Nagle's algorithm on: 40 ms for each small message.
        listener = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, sockets.IPPROTO_TCP)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            app, ws=BoundedSockets, ws_per_message_deflate=False, ws_max_size=2**20, log_config=None
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await until(lambda: self._server.started or self._serving.done())

    async def stop(self) -> None:
        self._server.should_exit = True
        await asyncio.wait_for(self._serving, 10)

    def offer_ids(self) -> list[str]:
        return [item.id for item in self.backend.offers()]

    def job(self, model: str = "m", body: bytes | None = None, timeout_s: float = 30, **order: object) -> Job:
        """A job for the one node that offers this model; the keywords say what its engine should do."""
        (offer_id,) = [item.id for item in self.backend.offers() if item.model.id == f"maker/{model}"]
        sent = json.dumps(order).encode() if body is None else body
        return Job(id="j", offer_id=offer_id, path=PATH, body=sent, max_output_tokens=9, timeout_s=timeout_s)

    async def answer(self, job: Job) -> bytes:
        return b"".join([part async for part in self.backend.serve(job)])


@define
class Engine:
    """Answers each job as its body says. Keeps count of the jobs it works on."""

    open: int = 0
    most_open: int = 0
    produced: int = 0
    gate: asyncio.Event = field(factory=asyncio.Event)

    async def post(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            async for part in self._answer(body):
                self.produced += len(part)
                yield part
        finally:
            self.open -= 1

    async def _answer(self, body: bytes) -> AsyncGenerator[bytes, None]:
        order = json.loads(body)
        match order["do"]:
            case "count":
                for number in range(order["to"]):
                    yield f"{order['tag']}{number};".encode()
                    await asyncio.sleep(0)
            case "measure":
                yield str(len(body)).encode() + body[-4:]
            case "wait":
                yield b"first"
                await self.gate.wait()
                yield b"last"
            case "flood":
                while True:
                    yield bytes(50_000)
                    await asyncio.sleep(0)
            case "fail":
                yield b"first"
                raise JobFailed(order["kind"], "No\n<b>.", param="messages", code="a_code", retry_after=7)
            case "bug":
                raise RuntimeError("the prompt")


@define
class RawNode:
    """A node that says what it is told to, through a plain WebSocket."""

    socket: ClientConnection

    async def say(self, *messages: Message) -> None:
        for message in messages:
            await self.socket.send(codec.encode(message))

    async def hear(self, kind: type[Any]) -> Any:
        """The next message, or frame, of this kind; what comes before it is passed over."""
        async with asyncio.timeout(5):
            while True:
                received = await self.socket.recv()
                item = codec.decode(received) if isinstance(received, str) else frames.decode(received)
                if isinstance(item, kind):
                    return item

    async def close_code(self) -> int:
        async with asyncio.timeout(5):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


Dial = Callable[..., contextlib.AbstractAsyncContextManager[RawNode]]


@pytest.fixture(scope="session")
def make_hub() -> Callable[..., Hub]:
    """Makes a hub that is yet to be started. Its settings are the keywords; it has the node tokens "one" and "two"."""

    def make(**settings: Any) -> Hub:
        hub = Hub(GgufSettings(**settings))
        for token in ("one", "two"):
            hub.tokens[f"Bearer {token}"] = Principal(f"account-{token}", f"key-{token}", frozenset({Scope.NODE}))
        return hub

    return make


@pytest.fixture
async def start_hub(make_hub: Callable[..., Hub]) -> AsyncIterator[Callable[..., Any]]:
    """Makes a hub and starts it."""
    hubs: list[Hub] = []

    async def start(**settings: Any) -> Hub:
        hub = make_hub(**settings)
        await hub.start()
        hubs.append(hub)
        return hub

    yield start
    for hub in hubs:
        await hub.stop()


@pytest.fixture
async def hub(start_hub: Callable[..., Any]) -> Hub:
    started: Hub = await start_hub()
    return started


@pytest.fixture
def engine() -> Engine:
    return Engine()


@define
class RunningLink:
    """A link that runs in a task of its own, and what it reported."""

    link: Link
    states: list[LinkState]
    task: "asyncio.Task[None]"

    @property
    def names(self) -> list[str]:
        return [state.name for state in self.states]

    def abort(self) -> None:
        """Cut the connection as a dead machine would."""
        assert self.link._connection is not None
        self.link._connection._socket.transport.abort()


@pytest.fixture
async def start_link(engine: Engine) -> AsyncIterator[Callable[..., RunningLink]]:
    """Starts a link to a URL, with the fixture's engine behind it."""
    links: list[RunningLink] = []

    def start(
        url: str, *offers: Served, token: str = "one", name: str = "box", software: str = "test/1", **options: Any
    ) -> RunningLink:
        states: list[LinkState] = []
        link = Link(url, token, name, software=software, post=engine.post, report=states.append, log=LOG, **options)
        link.serve(offers or (served(),))
        running = RunningLink(link, states, asyncio.create_task(link.run()))
        links.append(running)
        return running

    yield start
    for running in links:
        running.task.cancel()
    await asyncio.gather(*(running.task for running in links), return_exceptions=True)
    assert engine.open == 0, "a job outlived its link"


@pytest.fixture
def dial() -> Dial:
    """Opens a raw connection to a URL; with a token it offers one model, without it says nothing."""

    @contextlib.asynccontextmanager
    async def dial(
        url: str, token: str | None = "one", *, join: bool = True, slots: int = 4, subprotocol: Any = SUBPROTOCOL
    ) -> AsyncIterator[RawNode]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        subprotocols = [subprotocol] if isinstance(subprotocol, str) else subprotocol
        async with connect(
            url, additional_headers=headers, subprotocols=subprotocols, compression=None, proxy=None, close_timeout=1
        ) as socket:
            node = RawNode(socket)
            if join:
                await node.say(Hello(name="box", software="raw/1"), Offers((offer(slots=slots),)))
                await node.hear(Welcome)
            yield node

    return dial
