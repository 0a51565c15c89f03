"""Connections on loopback for servers that stand in for others' in tests. None is left open, whenever they stop.

`asyncio.start_server` leaves those open that it has accepted and not begun to serve when it is closed: a client that
connects as a test ends would wait, and the garbage collector complain in another test.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

from attrs import define, field

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def bound(port: int = 0) -> socket.socket:
    """A socket that has its port on loopback, a free one unless told, and refuses connections until it listens."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


@define
class Listener:
    """Runs `serve` for each connection, in a task of its own, and closes the connection after it. It may be cancelled;
    an `OSError` of it, or the client's early end, is the client's own affair. `tls` is the server's side."""

    serve: Serve
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    _socket: socket.socket | None = field(default=None, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)

    def listen(self, on: socket.socket) -> None:
        """Take connections on `on`, which is closed by `close`, from now on."""
        on.listen()
        on.setblocking(False)
        self._socket = on
        asyncio.get_running_loop().add_reader(on, self._accept)

    async def close(self) -> None:
        """Take no more connections, and end those that there are."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        await self.cut()

    async def cut(self) -> None:
        """End the connections that there are."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            connection, _ = self._socket.accept()
        except OSError:  # it has gone already
            return
        task = asyncio.create_task(self._run(connection))
        self._tasks.add(task)
        # A task that is cancelled before it began runs none of its code.
        task.add_done_callback(lambda task: connection.close() if task.cancelled() else None)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        connection.setblocking(False)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self.tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await self.serve(reader, writer)
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # nobody is there to be told
