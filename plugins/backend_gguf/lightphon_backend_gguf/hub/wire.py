"""A node's WebSocket: the next message of it, with what it costs the node, and its end."""

import asyncio
from typing import Any

from attrs import frozen
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from lightphon_backend_gguf.protocol import tolls
from lightphon_backend_gguf.protocol.closing import CloseCode
from lightphon_backend_gguf.protocol.hub_session import HubEvent, HubSession, OffersChanged

Socket = WebSocket[Any, Any, Any]


@frozen
class Received:
    """What one message came to. `toll` is what it costs the node."""

    events: list[HubEvent]
    toll: float


async def receive(socket: Socket, session: HubSession) -> Received | None:
    """The next message; None when the peer has gone. Raises `ProtocolViolation`."""
    message: Any = await socket.receive()
    if message["type"] == "websocket.disconnect":
        return None
    text = message.get("text")
    if text is None:
        events = session.receive_bytes(message["bytes"])
        return Received(events, tolls.frame_toll(wanted=bool(events)))
    events = session.receive_text(text)
    return Received(events, tolls.text_toll(text, offers=any(isinstance(event, OffersChanged) for event in events)))


async def close(socket: Socket, code: CloseCode) -> None:
    """Send a close code. A peer that has gone, or does not read, is left to the server, which lets it go."""
    try:
        await asyncio.wait_for(socket.close(code, reason=code.name.lower()), timeout=2)
    except (OSError, TimeoutError, WebSocketDisconnect):
        return
