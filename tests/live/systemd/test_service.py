"""docs/deploy/lightphon.service as it is, started by the commands of docs/operating.md."""

from __future__ import annotations

import asyncio
import json
import signal

import httpx
import pytest
from attrs import define, field
from lightphon_backend_gguf.testing.simulated import SimulatedNode, Simulation

from lightphon_core.testing.process import PASSWORD, until
from lightphon_core.testing.scripted import chunk

pytestmark = pytest.mark.systemd

CANARY = "canary-in-a-prompt"
STREAM = {"model": "simulated", "stream": True, "messages": [{"role": "user", "content": CANARY}]}
PATIENCE_S = 30


@define
class HeldNode(SimulatedNode):
    """A node whose answers begin, and go on when they may."""

    may_go_on: asyncio.Event = field(factory=asyncio.Event)

    async def _answer(self, session, job):
        session.output(job, chunk({"content": "begun"}))
        self._wake.set()
        await self.may_go_on.wait()
        await super()._answer(session, job)


def secret(printed, prefix):
    (found,) = [value for value in json.loads(printed).values() if str(value).startswith(prefix)]
    return found


@pytest.fixture(scope="module")
def keys(machine):
    """A key, and a node token, that an operator made."""
    until(machine.is_ready, "the service is ready")
    return [
        secret(machine.lightphon(kind, "create", "--account", "alice", "--json"), prefix)
        for kind, prefix in (("key", "lp_"), ("node-token", "np_"))
    ]


@pytest.fixture
async def node(machine, keys):
    """A node that is let in, until the test ends."""
    welcomed = asyncio.Event()
    address = machine.url.replace("http", "ws") + "/api/node-link"
    node = HeldNode(address, keys[1], "box", Simulation(), welcomed.set)
    until(machine.is_ready, "the service is ready")
    running = asyncio.create_task(node.run())
    async with asyncio.timeout(PATIENCE_S):
        await welcomed.wait()
    yield node
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_it_serves_with_nothing_to_complain_of(machine, keys):
    found = json.loads(machine.lightphon("doctor", "--json"))["findings"]
    assert {finding["level"] for finding in found} == {"ok"}
    login = {"name": "alice", "password": PASSWORD}  # argon2, with its threads
    answer = httpx.post(f"{machine.url}/api/account/login", json=login, headers={"origin": machine.url})
    assert answer.status_code == 200
    listing = machine.run("find", "/var/lib/lightphon", "-printf", "%u %m %y\n").splitlines()
    assert set(listing) == {"lightphon 700 d", "lightphon 600 f"}


def test_it_is_shut_off_from_all_but_its_data(machine, keys):
    pid = machine.state("MainPID")
    status = dict(line.split(":\t") for line in machine.run("cat", f"/proc/{pid}/status").splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapBnd"], 16)) == ("1", "2", 0)
    places = ("/etc", "/opt/lightphon", "/usr", "/home", "/tmp", "/var/lib/lightphon")
    tries = 'for place in "$@"; do touch $place/x 2>/dev/null && echo $place; done; true'
    seen = machine.run("nsenter", "--target", pid, "--mount", "--", "sh", "-c", tries, "sh", *places)
    assert seen.split() == ["/tmp", "/var/lib/lightphon"]
    machine.run("rm", "/var/lib/lightphon/x")


async def test_a_stop_lets_answers_finish(machine, keys, node):
    headers = {"authorization": f"Bearer {keys[0]}"}
    async with (
        httpx.AsyncClient(base_url=machine.url, headers=headers, timeout=PATIENCE_S) as client,
        client.stream("POST", "/v1/chat/completions", json=STREAM) as stream,
    ):
        lines = (line async for line in stream.aiter_lines() if line)
        assert "begun" in await anext(lines)
        await asyncio.to_thread(machine.run, "systemctl", "stop", "--no-block", "lightphon")
        await asyncio.to_thread(until, lambda: machine.state("ActiveState") == "deactivating", "it is stopping")
        node.may_go_on.set()
        assert [line async for line in lines][-1] == "data: [DONE]"
    await asyncio.to_thread(until, lambda: machine.state("ActiveState") == "inactive", "it has stopped")
    assert (machine.state("Result"), machine.state("ExecMainStatus")) == ("success", "0")
    machine.run("systemctl", "start", "lightphon")
    until(machine.is_ready, "the service is ready")


def test_a_kill_is_followed_by_a_start(machine, keys):
    pid = machine.state("MainPID")
    machine.run("kill", f"-{signal.SIGKILL.value}", pid)
    until(lambda: machine.state("MainPID") not in (pid, "0") and machine.is_ready(), "it serves again")
    assert machine.state("NRestarts") == "1"
    assert machine.lightphon("ledger", "verify").strip() == "The books are right."


def test_the_journal_has_its_log_and_no_secret(machine, keys):
    journal = machine.journal()
    assert "listening" in journal
    assert not [word for word in (*keys, CANARY, PASSWORD) if word in journal]
