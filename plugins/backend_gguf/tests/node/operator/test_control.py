"""The socket by which a node is spoken to on its own machine."""

import asyncio
import contextlib
import os
import socket

import pytest
from lightphon_backend_gguf.node.operator import control
from lightphon_backend_gguf.node.operator.control import (
    ControlError,
    ControlServer,
    NotRunning,
    Reply,
    ask,
    socket_path,
    sockets,
)
from lightphon_backend_gguf.node.operator.state import STATE_VARIABLE, state_directory


@pytest.fixture
def path(tmp_path):
    return socket_path(tmp_path / "state", "ws://127.0.0.1:1/x", "box")


def listening(path, heard=None):
    def answer(command):
        if heard is not None:
            heard.append(command)
        return Reply(f"heard {command}", {"name": "box"})

    return ControlServer(path, answer)


async def test_commands_are_answered_and_nothing_is_left(path):
    heard = []
    async with listening(path, heard):
        assert await asyncio.to_thread(ask, path, "pause") == Reply("heard pause", {"name": "box"})
        assert sockets(path.parent) == [path]
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.stat().st_mode & 0o777 == 0o600
    assert heard == ["pause"]
    assert list(path.parent.iterdir()) == []
    with pytest.raises(NotRunning):
        ask(path, "status")


@pytest.mark.parametrize("text", [b"", b"x\n", b"[]\n", b'{"command": "rm"}\n', b'{"command": []}\n', b"x" * 10_000])
async def test_rubbish_is_not_answered(path, text):
    heard = []
    async with listening(path, heard):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(text)
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):  # it may hang up before it has read all
            assert await reader.read() == b""
        writer.close()
        assert await asyncio.to_thread(ask, path, "status")
    assert heard == ["status"]


async def test_whoever_says_nothing_is_hung_up_on(path, monkeypatch):
    monkeypatch.setattr(control, "TIMEOUT_S", 0.05)
    async with listening(path):
        reader, writer = await asyncio.open_unix_connection(path)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_what_a_killed_node_left_is_in_nobodys_way(path):
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(NotRunning):
        ask(path, "status")
    async with listening(path):
        assert (await asyncio.to_thread(ask, path, "stop")).message == "heard stop"


async def test_a_second_node_of_the_same_name_takes_nothing_from_the_first(path):
    async with listening(path):
        with pytest.raises(ControlError, match="runs already"):
            async with listening(path):
                pass
        assert await asyncio.to_thread(ask, path, "status")


async def test_nobody_else_may_enter(path):
    path.parent.mkdir(mode=0o755)
    async with listening(path):
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_directory_that_is_somebody_elses_is_not_used(path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(ControlError, match="belongs to another user"):
        async with listening(path):
            pass


async def test_a_path_that_is_too_long_is_one_line(tmp_path):
    with pytest.raises(ControlError, match="too long"):
        async with listening(tmp_path / ("x" * 120) / "a.sock"):
            pass


async def test_a_node_that_answers_nonsense(path):
    path.parent.mkdir()

    async def nonsense(reader, writer):
        await reader.readline()
        writer.write(b"nonsense\n")
        writer.close()

    async with await asyncio.start_unix_server(nonsense, path):
        with pytest.raises(ControlError, match="of another version"):
            await asyncio.to_thread(ask, path, "status")


def test_where_the_sockets_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_directory({STATE_VARIABLE: "/own", "XDG_STATE_HOME": "/x"}).as_posix() == "/own"
    assert state_directory({"XDG_STATE_HOME": "/x"}).as_posix() == "/x/lightphon-node"
    assert state_directory({}) == tmp_path / ".local/state/lightphon-node"
    here = tmp_path
    paths = {socket_path(here, url, name) for url in ("ws://a", "ws://b") for name in ("x", "y/../../z")}
    assert len(paths) == 4
    assert {path.parent for path in paths} == {here}
