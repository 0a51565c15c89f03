"""What the API guide promises in its sentences, where no other test shows it."""

import json
import os
from difflib import ndiff
from pathlib import Path

import httpx
import openai
import pytest
from argon2 import PasswordHasher
from attrs import frozen
from lightphon_backend_gguf.protocol.messages import ModelFacts

from lightphon_core import log
from lightphon_core.accounts import passwords
from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings, LogSettings

FOR_OPENAI = """\
from openai import NotFoundError, OpenAI

client = OpenAI(
    base_url="https://api.openai.com/v1",
    api_key="sk-proj-abc123def456",
)

with client:
    names = [each.id for each in client.models.list()]
    assert client.models.retrieve(names[0]).id == names[0]
    question = {"model": names[0], "messages": [{"role": "user", "content": "Hello!"}]}

    whole = client.chat.completions.create(**question, max_completion_tokens=50)
    print(whole.choices[0].message.content)

    usage = None
    for chunk in client.chat.completions.create(**question, stream=True, stream_options={"include_usage": True}):
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="")
        usage = chunk.usage or usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    print()

    with client.chat.completions.stream(**question) as stream:
        print(stream.get_final_completion().choices[0].message.content)

    raw = client.chat.completions.with_raw_response.create(**question)
    assert raw.request_id == raw.headers["x-request-id"]
    print(raw.parse().choices[0].message.content)

    try:
        client.models.retrieve("no-such-model")
    except NotFoundError as error:
        print(error.code)
"""

CENTURY_S = 100 * 365 * 86_400
PASSWORD = "correct horse battery"
LISTENS = "0A"  # state of a socket in /proc/net/tcp


def test_two_lines_change(network, run_python, answer):
    """A program as it is written for OpenAI, which takes the model from their list."""
    program = FOR_OPENAI.replace("https://api.openai.com/v1", f"{network.url}/v1")
    program = program.replace("sk-proj-abc123def456", network.api_key)
    assert len([line for line in ndiff(FOR_OPENAI.splitlines(), program.splitlines()) if line[0] == "+"]) == 2
    assert run_python(program).splitlines() == [answer] * 4 + ["model_not_found"]


def test_a_model_of_openais_is_told_what_there_is(network):
    """Such a program changes a third line, and is told so: models are those of the nodes."""
    with pytest.raises(openai.NotFoundError) as error:
        network.ask("gpt-4o")
    assert '"auto"' in error.value.message


@frozen
class Person:
    """Somebody who registered, and the server that it was at."""

    name: str
    system: object
    browser: httpx.Client

    def make(self, path, **terms):
        made = self.browser.post(path, json=terms)
        assert made.status_code == 201, made.text
        return made.json()

    def fund(self, msat):
        """Money in the wallet. Deposits over Lightning and by card are not there yet."""
        with self.system.running.server.database.transaction() as connection:
            account = get_account(connection, self.name)
            carry_out(connection, [adjustment.credit(account.id, msat, "to spend")])


@pytest.fixture
def alice(start_system, monkeypatch):
    """Alice has registered at a server whose only node asks 2 sats a request."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    system = start_system(accounts=AccountSettings(registration="open"))
    system.start_node("greeting", price="request=2")
    with httpx.Client(base_url=system.url, headers={"origin": system.url}, timeout=30) as browser:
        registered = browser.post("/api/account/register", json={"name": "alice", "password": PASSWORD})
        assert registered.status_code == 200, registered.text
        yield Person("alice", system, browser)


def test_from_an_account_to_an_answer_that_is_paid(alice, answer, monkeypatch):
    """Register, make a key, ask; the wallet pays by itself. The agent token does the same from the URL."""
    key = alice.make("/api/keys")
    assert key["secret"].startswith("lp_")
    assert key["expires_at"] is None
    token = alice.make("/api/agent-tokens")
    url = alice.system.url
    by_key = alice.system.openai(api_key=key["secret"])
    by_url = alice.system.openai(base_url=url + token["path"], api_key="x")

    def wallet():
        return httpx.get(f"{url}/api/wallet", headers={"authorization": f"Bearer {key['secret']}"}).json()

    alice.fund(10_000)
    for number, client in enumerate((by_key, by_url), start=1):
        said = alice.system.ask(client=client)
        assert said.choices[0].message.content == answer
        assert (said.usage.cost_msat, said.usage.cost, said.usage.cost_currency) == (2_000, "2", "sat")
        told = wallet()
        assert (told["available_msat"], told["held_msat"]) == (10_000 - 2_000 * number, 0)
        assert (told["statement"][0]["kind"], told["statement"][0]["amount_msat"]) == ("charge", -2_000)

    # A hundred years later the key still works, and one that was made to expire does not.
    mortal = alice.make("/api/keys", expires_at=key["created_at"] + 3_600)
    monkeypatch.setattr("time.time", lambda now=key["created_at"]: float(now + CENTURY_S))
    assert alice.system.ask(client=by_key).choices[0].message.content == answer
    with pytest.raises(openai.AuthenticationError) as expired:
        alice.system.ask(client=alice.system.openai(api_key=mortal["secret"]))
    assert expired.value.code == "expired_api_key"


def test_nothing_of_a_conversation_stays(alice, answer, tmp_path, capfd, monkeypatch):
    """Neither in the server's log nor among its files, nor in the node's log or state."""
    log.configure(LogSettings(level="debug"))
    key = alice.make("/api/keys")["secret"]
    token = alice.make("/api/agent-tokens")["path"]
    alice.fund(100_000)
    system = alice.system
    canary = "CANARY-c3f1"
    for base_url in (f"{system.url}/v1", system.url + token):
        client = system.openai(base_url=base_url, api_key=key)
        for stream in (False, True):
            said = system.ask("greeting", f"{canary}-prompt", client=client, stream=stream, user=f"{canary}-user")
            text = (
                "".join(c.choices[0].delta.content or "" for c in said) if stream else said.choices[0].message.content
            )
            assert text == answer
        with pytest.raises(openai.BadRequestError):
            system.ask("greeting", f"{canary}-wrong", client=client, extra_body={"grammar": f"root ::= {canary}"})
    system.running.server.stop()
    (node,) = system.nodes
    node.terminate()
    node.end()
    told = capfd.readouterr()
    folders = (system.running.server.data_dir, Path(os.environ["LIGHTPHON_NODE_STATE_DIR"]))
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    stored = b"".join(path.read_bytes() for path in files)
    logged = told.out + told.err + node.said()
    assert "cost_msat=2000" in logged
    assert "greeting" in node.said()
    for secret in (canary, answer, "scripted model", key, token.rpartition("/")[2]):
        assert secret not in logged
        assert secret.encode() not in stored


def sockets(pid, table):
    """The TCP sockets of a process in /proc/net/tcp or tcp6: local address, remote address and state, as they stand."""
    inodes = {str(each.readlink()).removeprefix("socket:[").rstrip("]") for each in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return [(words[1], words[2], words[3]) for words in lines if words[9] in inodes]


def test_a_node_dials_out_and_nobody_can_dial_in(network):
    """So it works behind NAT: the node itself listens nowhere, its engine on loopback alone, and the link to the server
    is a connection that the node has opened."""
    (node,) = network.nodes
    port = f":{int(network.url.rpartition(':')[2]):04X}"
    own = sockets(node.popen.pid, "tcp") + sockets(node.popen.pid, "tcp6")
    assert [remote for _, remote, state in own if remote.endswith(port)], own
    assert not [local for local, _, state in own if state == LISTENS]
    (engine,) = node.engines
    listening = [
        local for table in ("tcp", "tcp6") for local, _, state in sockets(engine.pid, table) if state == LISTENS
    ]
    assert [local.partition(":")[0] for local in listening] == ["0100007F"]  # 127.0.0.1


def test_the_list_is_of_the_nodes_that_are_there(network, model, shelf):
    """Each model with who made it; a newcomer's as soon as it is there, and gone with it."""

    def listed():
        return {each.id: each for each in network.openai().models.list()}

    assert list(listed()) == ["auto", model]
    assert (listed()[model].object, listed()[model].owned_by) == ("model", "qwen")
    with shelf(ModelFacts("meta/newcomer", ("chat",), maker="meta")):
        assert list(listed()) == ["auto", model, "meta/newcomer"]
        assert listed()["meta/newcomer"].owned_by == "meta"
    assert list(listed()) == ["auto", model]


def test_events_are_what_a_browser_reads(network, adapted):
    """The stream is `text/event-stream`, and says to proxies that it is not to be kept back."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    headers = {"authorization": f"Bearer {network.api_key}"}
    with httpx.stream("POST", f"{network.url}/v1/chat/completions", json=body, headers=headers) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["x-accel-buffering"] == "no"
        events = [line.removeprefix("data: ") for line in reply.iter_lines() if line]
    assert events[-1] == "[DONE]"
    assert all(json.loads(event)["choices"][0]["index"] == 0 for event in events[:-1])
