"""The HTTP server under the application: a socket, and uvicorn's settings."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

import uvicorn
from litestar import Litestar

from lightphon_core.errors import ConfigurationError
from lightphon_core.serving.gateway import Gateway
from lightphon_core.web.edge.chain import edge
from lightphon_core.web.edge.protocol import BoundedHeads
from lightphon_core.web.edge.sockets import BoundedSockets

WEBSOCKET_MESSAGE_BYTES = 1 << 20
"""The largest WebSocket message anyone may send us; node links fragment what is larger."""

UNFINISHED_S = 2
"""How long uvicorn may take to end what is left after the grace."""


_ADVICE = {
    errno.EACCES: "Ports below 1024 are root's: choose one above with --port, and have a proxy listen on that one.",
    errno.EADDRNOTAVAIL: "It is no address of this machine: 127.0.0.1 is always one, and 0.0.0.0 stands for all.",
}


class AddressError(ConfigurationError):
    """The address to listen on cannot be had."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises `AddressError` with what to do about it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise AddressError(f"{host!r} is no address of this machine. Use an IP address or a host name.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressError(
                f"Port {port} on {host} is in use by another program. Stop it, or choose another with --port."
            ) from None
        advice = _ADVICE.get(error.errno or 0, "Choose another address with --host, or another port with --port.")
        raise AddressError(f"Cannot listen on {host} port {port}: {error.strerror}. {advice}") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a client on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server. It says when it is ready for requests, and raises what keeps the application from starting,
    where uvicorn alone would log a traceback."""

    def __init__(self, app: Litestar, config: uvicorn.Config, grace_s: float, on_started: Callable[[], object]) -> None:
        super().__init__(config)
        self._app = app
        self._grace_s = grace_s
        self._on_started = on_started

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run until told to stop. Raises `ConfigurationError` where a plugin cannot be started."""
        try:
            async with self._app.lifespan():
                await super().serve(sockets)
        except BaseExceptionGroup as group:  # Litestar's event emitter is a task group, which wraps all that passes it
            known = group
            while isinstance(known, BaseExceptionGroup):
                known = known.exceptions[0]
            raise known from None
        finally:
            for listener in sockets or ():
                listener.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, let answers finish, and only then close the node links that they come over."""
        for listening in self.servers:
            listening.close()
        gateway: Gateway = self._app.state.gateway
        closing = asyncio.create_task(gateway.close(self._grace_s))
        while not closing.done() and not self.force_exit:  # set by a second Ctrl-C, from a signal handler
            await asyncio.wait({closing}, timeout=0.1)
        await super().shutdown(sockets)


def server_for(app: Litestar, *, shutdown_grace_s: float, on_started: Callable[[], object]) -> Server:
    """uvicorn, set for streams and node links. Run it with `sockets=[bind(...)]`.

    When it stops, answers under way have `shutdown_grace_s` seconds to finish.

    One worker: catalogue and node links live in the process. Deflate would hold chunks back; uvicorn's own access log
    would write agent tokens, and its proxy headers any peer could send.
    """
    return Server(
        app,
        uvicorn.Config(
            edge(app),
            http=BoundedHeads,
            ws=BoundedSockets,
            ws_max_size=WEBSOCKET_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=UNFINISHED_S,
        ),
        shutdown_grace_s,
        on_started,
    )
