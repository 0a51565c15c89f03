"""uvicorn's WebSockets, with bounds on what the application never sees, and an end for peers that do not read.

uvicorn answers every ping, joins fragments without counting them, parses all that one read brought before anything else
runs, and lets a connection that is closed wait for as long as its peer leaves what was written unread.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

SLICE_BYTES = 8192
"""Bytes that are parsed before the bounds are looked at again."""
FRAMES_AT_ONCE = 2048
"""Frames that one read (at most 256 KiB) may bring. Whoever has something to say sends larger ones."""
FRAGMENTS = 1024
"""Frames of one message."""
CONTROL_FRAMES = 60
"""Pings and pongs that are taken within `CONTROL_WINDOW_S`."""
CONTROL_WINDOW_S = 10.0
LINGER_S = 10.0
"""Seconds in which a peer must take what was written to it, once the application is done with the connection."""

POLICY = 1008


class BoundedSockets(WebSocketsSansIOProtocol):
    """Cuts off, with 1008, peers that send frames for the frames' sake. Bounds are on the connection alone."""

    linger_s = LINGER_S
    _frames_at_once = 0
    _controls = 0
    _window_began = 0.0
    _lingering: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self._frames_at_once = 0
        for start in range(0, len(data), SLICE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE_BYTES])

    def handle_events(self) -> None:
        if not self.transport.is_closing():
            super().handle_events()

    def handle_text(self, event: Frame) -> None:
        if self._admits():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._admits():
            super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= FRAGMENTS:
            self._cut_off()
        elif self._admits():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if self._admits_control():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._admits_control():
            super().handle_pong(event)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._linger()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._linger()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)

    def _admits(self) -> bool:
        if self.transport.is_closing():
            return False
        self._frames_at_once += 1
        if self._frames_at_once > FRAMES_AT_ONCE:
            self._cut_off()
            return False
        return True

    def _admits_control(self) -> bool:
        now = self.loop.time()
        if now - self._window_began > CONTROL_WINDOW_S:
            self._window_began, self._controls = now, 0
        self._controls += 1
        # A pong that cannot leave would only wait in memory beside the others.
        if self._controls > CONTROL_FRAMES or not self.writable.is_set():
            self._cut_off()
            return False
        return self._admits()

    def _cut_off(self) -> None:
        """Say 1008, tell the application that the peer has gone, and close. What it goes on to send is dropped."""
        if self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": POLICY, "reason": ""})
        self.conn.fail(POLICY, "too many frames")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self._linger()

    def _linger(self) -> None:
        """Have the connection end soon, whether or not its peer ever takes what was written."""
        if self._lingering is None and not self.disconnected:
            self._lingering = self.loop.call_later(self.linger_s, self.transport.abort)
