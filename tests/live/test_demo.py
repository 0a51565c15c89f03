"""`lightphon demo` as its user meets it: a process on a terminal."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from lightphon_backend_gguf.testing import scripted
from openai import OpenAI

COMMAND = [str(Path(sys.executable).with_name("lightphon")), "demo"]
START_S = 60.0


class Demo:
    """A running demo. It, and all that it started, is ended with the block."""

    def __init__(self, *arguments: object) -> None:
        self.popen = subprocess.Popen(
            [*COMMAND, "--port", "0", "--threads", "1", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.family: dict[int, int] = {}

    def read_until(self, end: str) -> str:
        """Standard output up to and with the line that begins with `end`."""
        assert self.popen.stdout is not None
        ready, _, _ = select.select([self.popen.stdout], [], [], START_S)
        assert ready, "the demo printed nothing"
        lines: list[str] = []
        for line in self.popen.stdout:
            lines.append(line)
            if line.startswith(end):
                break
        else:
            raise AssertionError(f"the demo ended: {self.popen.communicate()[1]}")
        self.family = {pid: os.pidfd_open(pid) for pid in descendants(self.popen.pid)}
        return "".join(lines)

    def stop(self, number: signal.Signals) -> tuple[int, str, str]:
        """Its status, and what it then printed on both streams; it has five seconds."""
        self.popen.send_signal(number)
        rest, errors = self.popen.communicate(timeout=5)
        return self.popen.returncode, rest, errors

    def left(self) -> list[int]:
        """The processes of its that still run."""
        poll = select.poll()
        for descriptor in self.family.values():
            poll.register(descriptor, select.POLLIN)
        ended = {descriptor for descriptor, _ in poll.poll(0)}
        return [pid for pid, descriptor in self.family.items() if descriptor not in ended]

    def close(self) -> None:
        if self.popen.poll() is None:
            self.family |= {pid: os.pidfd_open(pid) for pid in descendants(self.popen.pid) if pid not in self.family}
            self.popen.kill()
        self.popen.communicate()
        for descriptor in self.family.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


@pytest.fixture
def start():
    with contextlib.ExitStack() as stack:

        def start(*arguments: object) -> Demo:
            demo = Demo(*arguments)
            stack.callback(demo.close)
            return demo

        yield start


def test_json_with_the_model_that_comes_along(start, tmp_path):
    demo = start("--json", "--data-dir", tmp_path / "demo")
    ready = json.loads(demo.read_until("{"))
    assert len(demo.family) == 3  # server, node, engine
    assert ready["answer"]
    assert ready["model"] == "SmolLM2-135M-Instruct"
    with OpenAI(base_url=ready["base_url"], api_key=ready["api_key"], max_retries=0) as client:
        answer = client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "Hello!"}], max_tokens=8
        )
    assert answer.choices[0].message.content
    assert answer.model == ready["model"]

    status, rest, errors = demo.stop(signal.SIGINT)
    assert (status, rest) == (0, ""), errors
    assert demo.left() == []
    assert "Traceback" not in errors
    assert ready["answer"] in errors
    logs = "".join(path.read_text() for path in (tmp_path / "demo").glob("*.log"))
    assert "Traceback" not in logs + errors
    assert ready["api_key"] not in logs + errors
    assert "[error" not in logs


def look_at(url: str, name: str, password: str) -> None:
    """The first page, and an administrator who is logged in to it."""
    with httpx.Client(base_url=url, headers={"accept": "text/html", "origin": url.rstrip("/")}, trust_env=False) as web:
        assert "Create an account" in web.get("/").text
        assert web.post("/api/account/login", json={"name": name, "password": password}).json()["is_admin"]
        assert f"Hello, {name}" in web.get("/").text


def deposit_to_earnings(commands: list[str]) -> None:
    """What it prints about play money, pasted; three answers of a sat have been given before."""
    export, open_, pay, wallet = commands
    environ = {**os.environ, "PATH": f"{Path(COMMAND[0]).parent}:{os.environ['PATH']}", "no_proxy": "*"}

    def run(command: str) -> str:
        return subprocess.run(
            ["bash", "-c", f"{export}; {command}"], capture_output=True, text=True, timeout=30, check=True, env=environ
        ).stdout

    opened = run(open_)
    assert "play money" in opened
    invoice = opened.split()[-1]
    assert invoice.startswith("lnbcrt")
    assert run(pay.replace("INVOICE", invoice)) == "Paid 100 sats of play money.\n"
    earned = json.loads(run(wallet))
    assert sum(earned["by_origin_msat"].values()) + sum(earned["pending_earnings_msat"].values()) == 3_000


def test_what_it_prints_works_when_pasted(start, tmp_path, models, monkeypatch):
    others = tmp_path / "of-another-server" / "lightphon.db"
    for name, value in {"SERVER_PORT": "1", "STORAGE_URL": f"sqlite:///{others}"}.items():
        monkeypatch.setenv(f"LIGHTPHON_{name}", value)
    demo = start("--data-dir", tmp_path / "demo", "--model", models / "greeting.gguf")
    printed = demo.read_until("Ctrl-C").splitlines()
    assert not others.parent.exists()
    assert printed[0].startswith("Base URL  http://127.0.0.1:")
    assert printed[1].startswith("API key   lp_")
    url = printed[0].removeprefix("Base URL  ").removesuffix("/v1")
    (curl,) = [line for line in printed if line.startswith(f"curl {url}/v1")]
    web = re.fullmatch(r"Web app   (\S+) \(log in as (\S+) with (\S+), or register\)", printed[2])
    look_at(web[1], web[2], web[3])
    first = printed.index("from openai import OpenAI")
    python = printed[first : first + 4]
    assert printed[first + 4] == ""
    environ = {**os.environ, "no_proxy": "*"}
    outputs = [
        subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=environ).stdout
        for command in (["bash", "-c", curl], [sys.executable, "-c", "\n".join(python)])
    ]
    assert json.loads(outputs[0])["choices"][0]["message"]["content"] == scripted.GREETING.text
    assert outputs[1].strip() == scripted.GREETING.text
    deposit_to_earnings([line for line in printed if line.startswith(("export", "lightphon", f"curl {url}/api"))])
    status, rest, errors = demo.stop(signal.SIGTERM)
    assert (status, rest) == (0, ""), errors
    assert demo.left() == []


def test_a_closed_terminal_ends_it_within_five_seconds_even_if_all_hangs(start, tmp_path, models):
    demo = start("--json", "--data-dir", tmp_path / "demo", "--model", models / "greeting.gguf")
    demo.read_until("{")
    server, node, _ = demo.family
    for pid in (server, node):
        os.kill(pid, signal.SIGSTOP)
    assert demo.stop(signal.SIGHUP)[0] == 0
    poll = select.poll()
    for descriptor in demo.family.values():
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(1000)  # the engine ends by itself, when the node is gone
        poll.unregister(descriptor)


def run_wrong(*arguments: object) -> str:
    """The one line that a demo which cannot start prints."""
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = run_wrong("--port", port, "--data-dir", tmp_path)
    assert str(port) in line
    assert "--port" in line


def test_an_address_that_its_node_would_not_dial(tmp_path):
    assert "0.0.0.0" in run_wrong("--port", 0, "--host", "192.0.2.1", "--data-dir", tmp_path)


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    line = run_wrong("--port", 0, "--data-dir", tmp_path / "file" / "demo")
    assert str(tmp_path / "file" / "demo") in line
    (tmp_path / "lightphon.toml").mkdir()
    assert str(tmp_path / "lightphon.toml") in run_wrong("--port", 0, "--data-dir", tmp_path)


def test_the_directory_of_another_server(tmp_path):
    settings = tmp_path / "lightphon.toml"
    settings.write_text("[server]\nport = 1\n")
    assert "another server" in run_wrong("--port", 0, "--data-dir", tmp_path)
    assert settings.read_text() == "[server]\nport = 1\n"


def test_a_model_that_is_not_there(tmp_path):
    missing = tmp_path / "no.gguf"
    assert str(missing) in run_wrong("--port", 0, "--data-dir", tmp_path, "--model", missing)


def test_a_model_that_is_none(start, tmp_path):
    """Only the node can tell; the demo passes on what it said, and leaves nothing running."""
    (tmp_path / "model.gguf").write_text("this is no model")
    demo = start("--data-dir", tmp_path / "demo", "--model", tmp_path / "model.gguf")
    output, errors = demo.popen.communicate(timeout=START_S)
    assert (demo.popen.returncode, output) == (1, "")
    assert "model.gguf" in errors.splitlines()[-1]
    assert "Traceback" not in errors
