"""The connections of servers that stand in for others' in tests: none is left open, whenever they stop."""

import asyncio
import socket

import pytest

from lightphon_core.testing.listener import Listener, bound

PATIENCE_S = 10


def client_of(server):
    return socket.create_connection(server.getsockname())


async def heard(client):
    """What the server sends until it lets go of a client; None where it never took it."""
    client.setblocking(False)
    said = b""
    with client:
        async with asyncio.timeout(PATIENCE_S):
            try:
                while part := await asyncio.get_running_loop().sock_recv(client, 100):
                    said += part
            except ConnectionResetError:
                return None
    return said


async def silence(*_):
    await asyncio.Event().wait()


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("end", [Listener.close, Listener.cut])
async def test_whoever_connects_as_it_ends_is_let_go(turns, end):
    """`turns`: how often the event loop goes round between the two."""
    listener, server = Listener(silence), bound()
    listener.listen(server)
    client = client_of(server)
    for _ in range(turns):
        await asyncio.sleep(0)
    await end(listener)
    await listener.close()
    assert not await heard(client)


async def test_what_was_said_arrives_whole():
    async def serve(reader, writer):
        writer.write(await reader.read(5) * 250_000)

    listener, server = Listener(serve), bound()
    listener.listen(server)
    client = client_of(server)
    client.sendall(b"again")
    assert await heard(client) == b"again" * 250_000
    await listener.close()


async def test_a_client_that_leaves_is_its_own_affair():
    served = asyncio.Event()

    async def serve(reader, writer):
        served.set()
        await reader.readexactly(4)

    listener, server = Listener(serve), bound()
    listener.listen(server)
    client_of(server).close()
    async with asyncio.timeout(PATIENCE_S):
        await served.wait()
    await listener.cut()
    client = client_of(server)
    await listener.cut()
    client.close()
    await listener.close()


async def test_it_listens_again_where_it_was():
    listener, server = Listener(silence), bound()
    port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        client_of(server)
    listener.listen(server)
    client_of(server).close()
    await listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    listener.listen(bound(port))
    socket.create_connection(("127.0.0.1", port)).close()
    await listener.close()
