"""WebSocket peers that send frames for the frames' sake, and those that never read."""

import asyncio
import struct
import time

import pytest
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from lightphon_core.web.edge import sockets
from lightphon_core.web.edge.sockets import BoundedSockets

CONTINUATION, TEXT, PING = 0x0, 0x1, 0x9
FINAL = 0x80
POLICY_CLOSE = b"\x88" + bytes([2 + len("too many frames")]) + struct.pack("!H", 1008) + b"too many frames"


def frame(first: int, payload: bytes = b"") -> bytes:
    """A client's frame, masked with zeros."""
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload


@websocket("/api/patient")
async def patient_route(socket: WebSocket) -> None:
    """Reads until the peer has gone, more slowly than anybody sends."""
    await socket.accept()
    try:
        while True:
            await socket.receive_text()
            await asyncio.sleep(0.001)
    except WebSocketDisconnect:
        return


@websocket("/api/talker")
async def talker_route(socket: WebSocket) -> None:
    """Sends more than any buffer holds, gives up soon, and closes."""
    await socket.accept()
    try:
        async with asyncio.timeout(0.2):
            while True:
                await socket.send_text("x" * 100_000)
    except TimeoutError:
        return


@pytest.fixture
def dial(start_server, routes, wire):
    running = start_server(routes(patient_route, talker_route))

    def dial(path):
        connection = wire(running.url)
        connection.send(
            f"GET {path} HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.socket.recv(1)
        assert b" 101 " in head
        return connection

    dial.running = running
    return dial


def open_sockets(running) -> int:
    """How many WebSockets the server still holds."""
    connections = running.server._server.server_state.connections
    return sum(isinstance(each, BoundedSockets) for each in connections)


def gone_within(running, seconds: float) -> bool:
    """Looks again and again, since uvicorn tells nobody that a connection has ended."""
    deadline = time.monotonic() + seconds
    while open_sockets(running) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not open_sockets(running)


def sent_until_cut_off(connection, data: bytes) -> bytes:
    try:
        connection.send(data)
    except OSError:
        return POLICY_CLOSE  # it hung up while we were sending: what it said is lost with the reset
    return connection.rest()


@pytest.mark.parametrize(
    ("bound", "value", "flood"),
    [
        ("CONTROL_FRAMES", 60, frame(FINAL | PING) * 61),
        ("FRAMES_AT_ONCE", 50, frame(FINAL | TEXT, b"x") * 40_000),
        ("FRAGMENTS", 100, frame(TEXT) + frame(CONTINUATION) * 101),
    ],
)
def test_a_flood_of_frames_is_cut_off(dial, monkeypatch, bound, value, flood):
    monkeypatch.setattr(sockets, bound, value)
    assert sent_until_cut_off(dial("/api/patient"), flood).endswith(POLICY_CLOSE)
    assert gone_within(dial.running, 5)


def test_as_many_as_are_allowed_pass(dial):
    connection = dial("/api/patient")
    connection.send(frame(FINAL | PING, b"a") * (sockets.CONTROL_FRAMES - 1) + frame(TEXT, b"x") + frame(FINAL))
    connection.send(frame(FINAL | PING, b"b"))
    read = b""
    while not read.endswith(b"\x8a\x01b"):
        read += connection.socket.recv(4096)
    assert read.count(b"\x8a\x01") == sockets.CONTROL_FRAMES
    assert open_sockets(dial.running) == 1


def test_a_peer_that_never_reads_is_cut_off_when_the_application_is_done(dial, monkeypatch):
    monkeypatch.setattr(BoundedSockets, "linger_s", 0.1)
    dial("/api/talker")
    assert open_sockets(dial.running) == 1
    assert gone_within(dial.running, 5), "what it leaves unread keeps the connection open"
