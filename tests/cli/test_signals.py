"""What ends `lightphon serve`, and what becomes of the answers under way: the table of docs/operating.md."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from lightphon_core.testing.process import until

SERVER = Path(__file__).with_name("slow_server.py")
PATIENCE_S = 30
GRACE_S = 3_600
"""Longer than any test waits: an answer that ends was let finish, or cut off."""


@pytest.fixture
def serving(run, data_dir, tmp_path):
    """A server with an answer under way: its process, its URL, the lines of the answer, and what lets it go on."""
    run("account", "create", "alice")
    key = json.loads(run("key", "create", "--account", "alice", "--json").stdout)["secret"]
    environ = {**os.environ, "LIGHTPHON_SERVER_SHUTDOWN_GRACE_S": str(GRACE_S), "LIGHTPHON_LOG_FORMAT": "json"}
    go_on = tmp_path / "go-on"
    command = [sys.executable, SERVER, go_on, "serve", "--port", "0", "--data-dir", data_dir]
    hears_hangups = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ, preexec_fn=hears_hangups) as process:
        try:
            url = next(line["url"] for line in map(json.loads, process.stderr) if line["event"] == "listening")
            body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
            headers = {"authorization": f"Bearer {key}"}
            with httpx.stream(
                "POST", f"{url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE_S
            ) as got:
                lines = got.iter_lines()
                assert "begun" in next(line for line in lines if line)
                yield process, url, lines, go_on
        finally:
            process.kill()


def is_closed(url):
    try:
        httpx.get(f"{url}/healthz", timeout=PATIENCE_S)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:  # it was accepted by the system, and then closed
        return False
    return False


def logged(process):
    return [json.loads(line)["event"] for line in process.stderr]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_answer_under_way_may_finish(serving, number):
    process, url, lines, go_on = serving
    process.send_signal(number)
    until(lambda: is_closed(url), "it takes no new connections")
    assert process.poll() is None
    go_on.touch()
    assert [line for line in lines if line][-1] == "data: [DONE]"
    assert process.wait(PATIENCE_S) == 0
    assert logged(process)[-1] == "stopped"


def test_a_second_ctrl_c_cuts_it_off(serving):
    process, url, lines, _ = serving
    process.send_signal(signal.SIGINT)
    until(lambda: is_closed(url), "it takes no new connections")
    process.send_signal(signal.SIGINT)
    try:
        rest = list(lines)
    except httpx.RemoteProtocolError:
        rest = []
    assert "data: [DONE]" not in rest
    assert process.wait(PATIENCE_S) == 0
    assert "Traceback" not in "".join(logged(process))
