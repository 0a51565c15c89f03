"""Bytes on a socket, for what no HTTP client would send, and plugins that are routes alone."""

import select
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lightphon_core import hookimpl
from lightphon_core.plugins import Source

PATIENCE_S = 20


class Wire:
    """One connection to a server, by hand."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def trickle(self, data: bytes, every_s: float = 0.02) -> None:
        """Send a byte now and then until the server answers or hangs up."""
        for byte in data:
            if select.select([self.socket], [], [], every_s)[0]:
                return
            try:
                self.send(bytes([byte]))
            except OSError:
                return
        raise AssertionError("the server took all of it")

    def answer(self) -> str:
        """One answer with a declared length: its head and its body."""
        read = b""
        while b"\r\n\r\n" not in read:
            read += self._more()
        head, _, body = read.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            body += self._more()
        return (head + b"\r\n\r\n" + body).decode()

    def rest(self) -> bytes:
        """What comes until the server hangs up, however it does."""
        read = b""
        try:
            while more := self.socket.recv(65536):
                read += more
        except ConnectionError:
            pass
        return read

    def _more(self) -> bytes:
        more = self.socket.recv(65536)
        assert more, "the server hung up"
        return more


@pytest.fixture
def wire() -> Iterator[Callable[[str], Wire]]:
    """`wire(url)`: a connection, closed as the test ends."""
    opened: list[Wire] = []

    def connect(url: str) -> Wire:
        opened.append(Wire(url))
        return opened[-1]

    yield connect
    for each in opened:
        each.socket.close()


@pytest.fixture(scope="session")
def routes() -> Callable[..., Source]:
    """`routes(*handlers)`: a plugin that has these."""

    def plugin(*handlers: Any) -> Source:
        class Routed:
            def __init__(self, host: Any) -> None:
                pass

            @hookimpl
            def register_routes(self) -> list[Any]:
                return list(handlers)

        return Source("routed", "tests", "0", lambda: Routed)

    return plugin
