"""The WebSocket that nodes dial: who may come in, and under which name."""

import asyncio
from typing import Any

from litestar import WebSocket, websocket
from litestar.handlers import WebsocketRouteHandler

from lightphon_backend_gguf.hub.account import AccountTeller
from lightphon_backend_gguf.hub.connection import Connection, close, receive
from lightphon_backend_gguf.hub.roster import Roster
from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.hub.translate import to_node
from lightphon_backend_gguf.protocol.closing import CloseCode, ProtocolViolation
from lightphon_backend_gguf.protocol.hub_session import HubSession, Joined
from lightphon_backend_gguf.protocol.messages import SUBPROTOCOL, Hello
from lightphon_core import Host, LightPhonError, Principal, Scope, Unauthenticated

PATH = "/api/node-link"

Socket = WebSocket[Any, Any, Any]


def node_link(host: Host[GgufSettings], roster: Roster) -> WebsocketRouteHandler:
    """The route. The server must allow WebSocket messages of 1 MiB; compression is better off."""

    @websocket(PATH, name="node-link")
    async def handler(socket: WebSocket[Any, Any, Any]) -> None:
        await _serve(socket, host, roster)

    return handler


async def _serve(socket: Socket, host: Host[GgufSettings], roster: Roster) -> None:
    settings = host.settings
    session = HubSession(max_offers=settings.max_offers)
    try:
        async with asyncio.timeout(settings.hello_timeout_s):
            met = await _meet(socket, host, session)
    except TimeoutError:
        met = CloseCode.HELLO_TOO_LATE
    except ProtocolViolation:
        met = CloseCode.PROTOCOL_VIOLATION
    if met is None:
        return
    if isinstance(met, CloseCode):
        host.log.info("node turned away", reason=met.name.lower())
        await close(socket, met)
        return

    principal, hello = met
    node = to_node(principal, hello)
    session.welcome(node.id, settings.heartbeat_s)

    def changed() -> None:
        roster.refresh()
        teller.offers_changed()

    connection = Connection(socket, session, node, settings, host.log, changed)
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
    socket: Socket, host: Host[GgufSettings], session: HubSession
) -> tuple[Principal, Hello] | CloseCode | None:
    """Accept, authenticate, and hear hello; None if the peer has gone. Raises `ProtocolViolation`."""
    offered = SUBPROTOCOL in socket.scope["subprotocols"]
    await socket.accept(subprotocols=SUBPROTOCOL if offered else None)
    if not offered:
        return CloseCode.UNSUPPORTED_VERSION
    principal = await _admit(socket, host)
    if isinstance(principal, CloseCode):
        return principal
    match await receive(socket, session):
        case [Joined(hello)]:
            return principal, hello
        case _:
            return None


async def _admit(socket: Socket, host: Host[GgufSettings]) -> Principal | CloseCode:
    """Whom the node's token acts for, or why it may not come in."""
    try:
        principal = await host.authenticate(socket)
    except Unauthenticated:
        return CloseCode.BAD_TOKEN
    except LightPhonError:
        return CloseCode.TRY_LATER
    return principal if Scope.NODE in principal.scopes else CloseCode.NOT_A_NODE_TOKEN
