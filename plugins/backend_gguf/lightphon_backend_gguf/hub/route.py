"""The WebSocket that nodes dial: who may come in, and under which name."""

import asyncio
from importlib.metadata import version as version_of
from typing import Any

from litestar import WebSocket, websocket
from litestar.handlers import WebsocketRouteHandler

from lightphon_backend_gguf.hub.account import AccountTeller
from lightphon_backend_gguf.hub.connection import Connection
from lightphon_backend_gguf.hub.gate import Gate
from lightphon_backend_gguf.hub.roster import Roster
from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.hub.translate import to_node
from lightphon_backend_gguf.hub.wire import Received, Socket, close, receive
from lightphon_backend_gguf.protocol.closing import CloseCode, ProtocolViolation
from lightphon_backend_gguf.protocol.hub_session import HubSession, Joined
from lightphon_backend_gguf.protocol.messages import Hello
from lightphon_backend_gguf.protocol.versions import choose, notice_for
from lightphon_core import Host, LightPhonError, Node, Principal, Scope, Unauthenticated

PATH = "/api/node-link"
VERSION = version_of("lightphon-backend-gguf")


def node_link(host: Host[GgufSettings], roster: Roster) -> WebsocketRouteHandler:
    """The route. The server must allow WebSocket messages of 1 MiB; compression is better off."""
    gate = Gate(host.settings.max_nodes_per_token)

    @websocket(PATH, name="node-link")
    async def handler(socket: WebSocket[Any, Any, Any]) -> None:
        await _serve(socket, host, roster, gate)

    return handler


async def _serve(socket: Socket, host: Host[GgufSettings], roster: Roster, gate: Gate) -> None:
    session = HubSession(max_offers=host.settings.max_offers)
    try:
        async with asyncio.timeout(host.settings.hello_timeout_s):
            met = await _meet(socket, host, session, gate)
    except TimeoutError:
        met = CloseCode.HELLO_TOO_LATE
    except ProtocolViolation:
        met = CloseCode.PROTOCOL_VIOLATION
    if met is None:
        return
    if isinstance(met, CloseCode):
        await _turn_away(socket, host, met)
        return
    principal, hello = met
    node = to_node(principal, hello)
    with gate.connected(principal.credential_id, node.id) as admitted:
        if admitted:
            await _connected(socket, host, roster, session, node, hello, principal.credential_id)
        else:
            await _turn_away(socket, host, CloseCode.TOO_MANY_NODES)


async def _connected(
    socket: Socket,
    host: Host[GgufSettings],
    roster: Roster,
    session: HubSession,
    node: Node,
    hello: Hello,
    credential: str,
) -> None:
    """Serve a node that said hello, until the connection ends."""
    settings = host.settings
    session.welcome(node.id, settings.heartbeat_s, notice_for(hello.software, VERSION))

    def changed() -> None:
        roster.refresh()
        teller.offers_changed()

    connection = Connection(socket, session, node, settings, host.log, changed, credential)
    teller = AccountTeller(host, connection)

    async def check() -> CloseCode | None:
        verdict = await _admit(socket, host)
        # A database that is away proves nothing: the next check will tell.
        return verdict if isinstance(verdict, CloseCode) and verdict is not CloseCode.TRY_LATER else None

    roster.join(connection)
    host.log.info("node joined", node=node.id, name=node.name, account=node.owner, software=hello.software)
    telling = host.tasks.spawn(teller.run(), name=f"account of {node.id}")
    try:
        await connection.run(check)
    finally:
        telling.cancel()
        roster.leave(connection)


async def _meet(
    socket: Socket, host: Host[GgufSettings], session: HubSession, gate: Gate
) -> tuple[Principal, Hello] | CloseCode | None:
    """Accept, authenticate, and hear hello; None if the peer has gone. Raises `ProtocolViolation`."""
    version = choose(socket.scope["subprotocols"])
    await socket.accept(subprotocols=version)
    if version is None:
        return CloseCode.UNSUPPORTED_VERSION
    client = socket.client.host if socket.client else None
    with gate.waiting(client, host.clock.monotonic()) as admitted:
        if not admitted:
            return CloseCode.TRY_LATER
        principal = await _admit(socket, host)
        if isinstance(principal, CloseCode):
            if principal is not CloseCode.TRY_LATER:
                gate.refused(client, host.clock.monotonic())
            return principal
        match await receive(socket, session):
            case Received([Joined(hello)]):
                return principal, hello
            case _:
                return None


async def _turn_away(socket: Socket, host: Host[GgufSettings], code: CloseCode) -> None:
    host.log.info("node turned away", reason=code.name.lower())
    await close(socket, code)


async def _admit(socket: Socket, host: Host[GgufSettings]) -> Principal | CloseCode:
    """Whom the node's token acts for, or why it may not come in."""
    try:
        principal = await host.authenticate(socket)
    except Unauthenticated:
        return CloseCode.BAD_TOKEN
    except LightPhonError:
        return CloseCode.TRY_LATER
    return principal if Scope.NODE in principal.scopes else CloseCode.NOT_A_NODE_TOKEN
