"""How a running node is spoken to on its own machine: a Unix socket in a directory that only its user may enter.

One line of JSON goes in, {"command": "..."}, and one comes out, {"message": "...", "status": {...}}.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, get_args

from attrs import frozen

TIMEOUT_S = 5.0

_REQUEST_BYTES = 4096
_REPLY_BYTES = 4 * 1024 * 1024

Command = Literal["pause", "resume", "status", "stop"]


class ControlError(Exception):
    """A node cannot be spoken to, or cannot listen. The message is one line for the operator."""


class NotRunning(ControlError):
    """Nobody listens there."""


@frozen
class Reply:
    """What a node says to a command: a line for its operator, and how it is doing now."""

    message: str
    status: dict[str, Any]


def socket_path(directory: Path, url: str, name: str) -> Path:
    """Where the node of this name at this server listens."""
    return directory / f"{hashlib.sha256(f'{url} {name}'.encode()).hexdigest()[:16]}.sock"


class ControlServer:
    """Listens while its `async with` block runs. `answer` is called for each command, and must not wait."""

    def __init__(self, path: Path, answer: Callable[[Command], Reply]) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._asked: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Raises `ControlError`: there is nowhere to listen, or the same node runs already."""
        if not hasattr(socket, "AF_UNIX"):
            raise ControlError("there are no Unix sockets on this system")
        try:
            _make_private(self._path.parent)
            if self._path.exists():
                if _listens(self._path):
                    raise ControlError("a node of this name at this server runs already")
                self._path.unlink()
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_REQUEST_BYTES)
            self._path.chmod(0o600)
        except OSError as error:
            raise ControlError(f"{self._path}: {error.strerror or error}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            await asyncio.gather(*self._asked, return_exceptions=True)  # each ends within `TIMEOUT_S`

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._reply(reader, writer))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                asked = json.loads(await reader.readline())["command"]
                if asked in get_args(Command):
                    reply = self._answer(asked)
                    text = json.dumps({"message": reply.message, "status": reply.status})
                    writer.write(text.encode() + b"\n")
                    await writer.drain()
        except (OSError, TimeoutError, ValueError, TypeError, KeyError):
            return  # whoever asks so is told nothing
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def ask(path: Path, command: Command) -> Reply:
    """Have the node that listens there carry out a command. Raises `NotRunning` or `ControlError`."""
    try:
        with _connected(path) as connection:
            connection.sendall(json.dumps({"command": command}).encode() + b"\n")
            with connection.makefile("rb") as file:
                said = json.loads(file.readline(_REPLY_BYTES))
            return Reply(str(said["message"]), dict(said["status"]))
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning("The node does not run.") from None
    except OSError as error:
        raise ControlError(f"The node does not answer: {error.strerror or error}.") from None
    except (ValueError, TypeError, KeyError):
        raise ControlError("The node does not understand this command; is it of another version?") from None


def sockets(directory: Path) -> list[Path]:
    """The sockets of this user's nodes; one that was killed leaves its own behind."""
    return sorted(directory.glob("*.sock"))


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _listens(path: Path) -> bool:
    try:
        _connected(path).close()
    except OSError:
        return False
    return True


def _make_private(directory: Path) -> None:
    """Make sure that the directory is there, this user's own, and nobody else may enter. Raises `ControlError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid():
        raise ControlError(f"{directory} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        directory.chmod(0o700)
