"""Requests that strangers choose: where they may lead, what may come back, and for how long."""

import asyncio
import gzip
import json

import pytest
from lightphon_payment_lightning.addresses import AddressError, Target
from lightphon_payment_lightning.guarded import MAX_BYTES, GuardedClient, SystemResolver

from lightphon_core import ProviderUnavailable

HOST = "pay.example"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n"


def answer(body=b"{}", status="200 OK", **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(data):
    return lambda writer, _: writer.write(data)


async def get(server, path="/", **options):
    return await server.client(**options).get_json(Target(HOST, server.port, path))


async def test_a_request(address_server, monkeypatch):
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    address_server.script = says(answer(b'{"tag": "payRequest"}'))
    assert await get(address_server, "/pay?amount=1000") == {"tag": "payRequest"}
    (head,) = address_server.requests
    assert head.startswith("GET /pay?amount=1000 HTTP/1.1\r\n")
    assert f"Host: {HOST}:{address_server.port}\r\n" in head
    assert "cookie" not in head.lower()
    # The name was looked up once, though nobody else knows it: the connection went to what had been looked at.
    assert address_server.resolved == [HOST]


@pytest.mark.parametrize("addresses", [[], ["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["::1"]])
async def test_every_address_must_be_permitted(address_server, addresses):
    address_server.addresses.append(addresses)
    with pytest.raises(AddressError) as refused:
        await get(address_server)
    assert refused.value.message == f"{HOST} is no public host."
    assert address_server.requests == []


async def test_loopback_is_not_permitted_unless_told(address_server):
    client = GuardedClient(context=address_server.context)
    with pytest.raises(AddressError, match="localhost is no public host"):
        await client.get_json(Target("localhost", address_server.port, "/"))
    assert address_server.requests == []


async def test_an_answer_that_changes_gains_nothing(address_server):
    address_server.script = says(answer())
    address_server.addresses += [["127.0.0.1"], ["127.0.0.2"]]
    await get(address_server)
    with pytest.raises(AddressError, match="no public host"):
        await get(address_server)
    assert len(address_server.requests) == 1


async def test_the_certificate_is_the_names(address_server):
    with pytest.raises(ProviderUnavailable, match=r"other\.example does not answer"):
        await address_server.client().get_json(Target("other.example", address_server.port, "/"))
    with pytest.raises(ProviderUnavailable):
        await get(address_server, context=None)
    assert address_server.requests == []


@pytest.mark.parametrize(
    ("sent", "error", "said"),
    [
        (answer(status="302 Found", Location="https://127.0.0.1/"), AddressError, "elsewhere"),
        (answer(b'{"x": 1}', "307 Temporary Redirect", Location="/other"), AddressError, "elsewhere"),
        (answer(b"not found", "404 Not Found"), AddressError, "nobody"),
        (answer(b"{}", "500 Oops"), ProviderUnavailable, "does not answer"),
        (answer(b"[]"), AddressError, "Lightning address"),
        (answer(b"[" * 10_000), AddressError, "Lightning address"),
        (answer(gzip.compress(b"{}", mtime=0), **{"Content-Encoding": "gzip"}), AddressError, "Lightning address"),
        (answer(json.dumps({"x": "y" * MAX_BYTES}).encode()), AddressError, "more than"),
        (ENDLESS + b'{"cut": ', AddressError, "Lightning address"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", ProviderUnavailable, "does not answer"),
        (b"SSH-2.0-OpenSSH\r\n", ProviderUnavailable, "does not answer"),
        (b"", ProviderUnavailable, "does not answer"),
    ],
)
async def test_what_no_such_server_answers(address_server, sent, error, said):
    address_server.script = says(sent)
    with pytest.raises(error, match=said) as refused:
        await get(address_server)
    assert HOST in refused.value.message
    assert "127.0.0.1" not in refused.value.message
    assert len(address_server.requests) == 1


async def test_an_error_of_the_server_is_an_answer(address_server):
    address_server.script = says(answer(b'{"status": "ERROR"}', "404 Not Found"))
    assert await get(address_server) == {"status": "ERROR"}


async def test_an_endless_body_is_not_read_on(address_server):
    ended = asyncio.Event()

    async def flood(writer, _):
        writer.write(ENDLESS)
        try:
            while True:
                writer.write(b" " * 65_536)
                await writer.drain()
        except ConnectionError:
            ended.set()
            raise

    address_server.script = flood
    with pytest.raises(AddressError, match="more than"):
        await get(address_server)
    async with asyncio.timeout(10):
        await ended.wait()


@pytest.mark.parametrize("slow", ["resolver", "server"])
async def test_who_is_slow_is_given_up(address_server, slow):
    async def never(*_):
        await asyncio.Event().wait()

    address_server.script = never
    with pytest.raises(ProviderUnavailable, match="does not answer"):
        await get(address_server, timeout_s=0.2, **({"resolver": never} if slow == "resolver" else {}))


async def test_nobody_listens(address_server):
    async with asyncio.timeout(10):
        with pytest.raises(ProviderUnavailable):
            await address_server.client(resolver=_loopback).get_json(Target(HOST, 1, "/"))


async def _loopback(host, port):
    return ["127.0.0.1"]


async def test_the_machines_own_resolver():
    resolve = SystemResolver()
    assert "127.0.0.1" in await resolve("localhost", 443)
    assert await resolve("x" * 64 + ".example", 443) == []  # a label that is too long
