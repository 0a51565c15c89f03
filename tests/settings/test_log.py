"""Logging: everything through one sink, and no credential through the sink."""

import asyncio
import errno
import gc
import io
import json
import logging
import sys
import threading

import pytest
import structlog
from sqlalchemy import text

from lightphon_core import PluginError
from lightphon_core import log as log_setup
from lightphon_core.accounts.secrets import Kind, new_secret
from lightphon_core.errors import StorageUnavailable
from lightphon_core.log import configure
from lightphon_core.log.lines import printable
from lightphon_core.log.redaction import redact
from lightphon_core.log.strays import log_strays
from lightphon_core.settings import LogSettings
from lightphon_core.storage.engine import Database


@pytest.fixture
def logged():
    """Configures logging; its value gives what was logged since. Then all tests log as before."""
    stream = io.StringIO()

    def start(**settings):
        configure(LogSettings(**settings), stream)
        return stream.getvalue

    yield start
    configure(LogSettings(level="debug"))


class Dropped:
    """Fails when nobody needs it any more."""

    def __init__(self, fail, text):
        self.fail, self.text = fail, text

    def __del__(self):
        self.fail(self.text)


class Opaque:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return f"Opaque({self.text})"


@pytest.mark.parametrize("format_", ["console", "json"])
@pytest.mark.parametrize("kind", list(Kind))
def test_secrets_are_masked_wherever_they_are(logged, format_, kind):
    read = logged(format=format_)
    secret = new_secret(kind)
    log = structlog.stdlib.get_logger("lightphon.test")
    log.info(f"in the event {secret}")
    log.info("as a value", value=secret, in_bytes=secret.encode(), cut_short=secret[:-3])
    log.info("nested", value={"a": [{"b": (secret, 1)}], "c": {secret}})
    log.info("in an object", value=Opaque(secret))
    log.info("in a path", path=f"/api/agent/{secret}/v1/models")
    log.info("in headers", headers={"authorization": f"Bearer {secret}"}, pairs=[(b"authorization", secret.encode())])
    log.info("by its key", api_key="sk-other", Authorization="Basic dXNlcg==")
    logging.getLogger("uvicorn.error").warning("from uvicorn %s %r", secret, {"authorization": "Bearer other-one"})
    try:
        raise ValueError(f"in an exception {secret}")
    except ValueError:
        log.exception("failed")
    text = read()
    for part in (secret, secret[4:20], "sk-other", "dXNlcg", "other-one"):
        assert part not in text
    for part in ("in the event", "from uvicorn", "in an exception", "/v1/models", "Opaque("):
        assert part in text
    if format_ == "json":
        assert all(json.loads(line)["level"] for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /api/agent/whatever-it-is/v1 200", "GET /api/agent/[redacted]/v1 200"),
        ("GET /api/agent/{token}/v1 200", "GET /api/agent/{token}/v1 200"),
        ("GET /api/agent/-/v1 200", "GET /api/agent/-/v1 200"),
        ("Authorization: Bearer abc", "Authorization: [redacted]"),
        ('{"authorization": "Basic abc"}', '{"authorization": "[redacted]"}'),
        ("[(b'authorization', b'Bearer abc')]", "[(b'authorization', b'[redacted]')]"),
        ("AUTHORIZATION=abc", "AUTHORIZATION=[redacted]"),
        ("with BEARER abcdefghijkl", "with BEARER [redacted]"),
        ("with Basic abcdefghijkl", "with Basic [redacted]"),
        ("ba\u017fic abcdefghijkl", "ba\u017fic [redacted]"),  # a long s is one to a pattern that ignores case
        ("a session's ls_abcdefghijklmnop", "a session's ls_[redacted]"),
        ("an invitation's li_abcdefghijklmnop", "an invitation's li_[redacted]"),
        ("postgresql://me:hush@host/db", "postgresql://me:[redacted]@host/db"),
        ("cred_abcdefghijklmnop of acc_abcdefghijklmnop", "cred_abcdefghijklmnop of acc_abcdefghijklmnop"),
        ("at_least_one http://127.0.0.1:8000/v1", "at_least_one http://127.0.0.1:8000/v1"),
    ],
)
def test_redact(text, masked):
    assert redact(text) == masked
    assert redact(masked) == masked


def test_tracebacks_hold_neither_local_variables_nor_texts(logged):
    read = logged(format="console")

    def serve(prompt):
        try:
            raise ValueError(prompt)
        except ValueError as error:
            raise ExceptionGroup("several", [RuntimeError(prompt), KeyError(prompt)]) from error

    try:
        serve("my private " + "prompt")
    except ExceptionGroup:
        structlog.stdlib.get_logger("lightphon.x").exception("failed")
        logging.getLogger("other").exception("failed too")
    for kind in ("ValueError", "ExceptionGroup", "RuntimeError", "KeyError"):
        assert read().count(f"builtins.{kind}\n") == 2, kind
    assert "in serve" in read()
    assert "my private prompt" not in read()


SPOOFS = ("\n", "\r", "\x1b[2J", "\x9b2J", "\x07", "\x7f", "\u202e", "\u2066", "\u2028")
"""What ends a line, moves a cursor, rings, or turns what follows around."""


def test_what_is_no_text_at_all_can_be_written():
    assert printable("half \ud800 of it") == "half \\ud800 of it"


@pytest.mark.parametrize("format_", ["console", "json"])
def test_what_others_say_stays_in_its_line(logged, format_):
    read = logged(format=format_)
    log, said = structlog.stdlib.get_logger("lightphon.test"), "node" + "".join(f"{each}2026-11-23" for each in SPOOFS)
    log.warning(said)
    log.warning("a node", name=said, node=said.replace(" ", ""), nested={said: [said, said.encode("utf-8", "replace")]})
    logging.getLogger("uvicorn.error").warning("%s", said)
    try:
        raise PluginError("gguf", said)
    except PluginError:
        log.exception(said)
    assert all(line.isprintable() for line in read().split("\n"))
    trace = read().split("\n")[4:-1]
    if format_ == "json":
        assert not trace
        assert json.loads(read().splitlines()[0])["event"] == said
    else:
        assert [line for line in trace if "2026-11-23" in line] == trace[-1:]  # the operator's error, on its own line


@pytest.mark.parametrize("format_", ["console", "json"])
def test_what_nobody_catches_is_told_without_what_it_was_about(logged, format_, monkeypatch, capfd):
    """asyncio, finalizers and threads write a repr or the exception's text, each in a way of its own."""
    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, getattr(sys, hook))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    read = logged(format=format_)
    log_strays()
    private = "my private " + "prompt"

    def fail(text):
        raise ValueError(text)

    async def fails(text):
        fail(text)

    async def drops(text):
        try:
            yield 1
        finally:
            fail(text)

    async def strays():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(fails(private))
        loop.call_soon(fail, private)
        dropped = drops(private)
        await anext(dropped)
        await asyncio.wait({task})
        del task, dropped
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()

    asyncio.run(strays())
    thread = threading.Thread(target=fail, args=(private,))
    thread.start()
    thread.join()
    Dropped(fail, private)
    gc.collect()
    sys.excepthook(ValueError, ValueError(private), None)
    for expected, times in (
        ("Task exception was never retrieved", 2),
        ("Exception in callback", 1),
        ("a thread ended by a fault", 1),
        ("an exception had nowhere to go", 1),
        ("the server ended by a fault of ours", 1),
        ("builtins.ValueError", 6),
    ):
        assert read().count(expected) == times, (expected, read())
    assert private not in read() + "".join(capfd.readouterr())


def test_what_is_meant_for_the_operator_is_shown(logged):
    read = logged(format="json")
    try:
        raise PluginError("gguf", "no such port")
    except PluginError:
        structlog.stdlib.get_logger("lightphon").exception("failed")
    assert "PluginError: Plugin 'gguf': no such port" in read()


def test_levels(logged):
    read = logged(level="debug", format="json")
    structlog.stdlib.get_logger("web").debug("ours")
    structlog.stdlib.get_logger("lightphon").debug("ours too")
    for name in ("websockets.server", "uvicorn.error", "sqlalchemy.engine"):
        logging.getLogger(name).debug("what they said to one another")
    logging.getLogger("sqlalchemy.engine").info("SELECT")
    logging.getLogger("uvicorn.error").info("a WebSocket's URL")
    logging.getLogger("asyncio").info("started")
    assert [json.loads(line)["event"] for line in read().splitlines()] == ["ours", "ours too", "started"]


def test_a_record_that_cannot_be_written_is_not_shown(logged, capsys):
    logged()
    handler = next(each for each in logging.getLogger().handlers if isinstance(each, log_setup._Handler))
    handler.handle(logging.LogRecord("x", logging.INFO, "", 1, "%d", ("hush",), None))
    assert capsys.readouterr().err == "A log record of x could not be written.\n"


class Full(io.StringIO):
    """A file on a disk that is full."""

    def write(self, _):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_nobody_who_logs(logged, monkeypatch, tmp_path):
    logged()
    monkeypatch.setattr("sys.stderr", Full())
    configure(LogSettings())
    structlog.stdlib.get_logger("lightphon.test").warning("lost")
    with Database(f"sqlite:///{tmp_path}/lightphon.db") as database:
        with pytest.raises(StorageUnavailable):
            # The writer logs what it lost, and must live to write the next.
            asyncio.run(_within(database.write(lambda connection: connection.execute(text("ROLLBACK")))))
        assert asyncio.run(_within(database.write(lambda connection: connection.scalar(text("SELECT 7"))))) == 7


async def _within(work):
    async with asyncio.timeout(20):
        return await work


def test_what_is_stderr_when_something_is_logged_gets_it(logged, monkeypatch):
    logged()
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    configure(LogSettings())
    monkeypatch.setattr("sys.stderr", second)
    first.close()
    structlog.stdlib.get_logger("lightphon.test").warning("here")
    assert "here" in second.getvalue()
    assert "could not be written" not in second.getvalue()
