"""Nodes that come, work side by side, break, and go, while clients hold streams."""

import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from attrs import evolve
from lightphon_backend_gguf.testing import scripted

from lightphon_core.accounts.credentials import list_credentials, revoke_credential
from lightphon_core.accounts.secrets import Kind
from lightphon_core.plugins import installed
from lightphon_core.settings import Settings
from lightphon_core.testing import LiveServer

ENDLESS = {"context": 2**17}
LONG = 100_000


def begin(system, model="endless", **body):
    """A streamed answer that has begun: its first piece of text is there."""
    stream = system.ask(model, stream=True, **{"max_tokens": LONG, **body})
    for chunk in stream:
        if chunk.choices[0].delta.content:
            return stream
    raise AssertionError("the answer ended before it began")


def raw_post(system, body: dict) -> socket.socket:
    """A request whose client can hang up at any moment."""
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {system.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    host, port = system.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=10)
    client.sendall(head.encode() + content)
    return client


def text_of(chunk) -> str:
    return chunk.choices[0].delta.content or ""


class TestSideBySide:
    def test_several_jobs_on_one_connection_and_model(self, start_system, until):
        system = start_system(limits={"queue_s": 0})
        system.start_node("endless", slots=3, **ENDLESS)
        streams = [begin(system) for _ in range(3)]
        assert [seen.load.busy for seen in system.seen()] == [3]
        for _ in range(60):  # all three go on, in turn
            for stream in streams:
                assert text_of(next(stream)) in scripted.ENDLESS.pieces
        with pytest.raises(openai.InternalServerError) as full:
            system.ask("endless")
        assert (full.value.status_code, full.value.code) == (503, "no_nodes_available")
        assert int(full.value.response.headers["retry-after"]) >= 1
        streams[0].close()
        until(lambda: system.seen()[0].load.busy == 2, 1)
        begin(system).close()
        for stream in streams[1:]:
            text_of(next(stream))
            stream.close()
        until(lambda: not system.busy(), 1)

    def test_several_models_and_nodes(self, start_system):
        system = start_system()
        system.start_node("endless", "greeting", name="one", slots=1)
        system.start_node("greeting", "json_answer", name="two", slots=1)
        assert system.on_offer("one:endless", "one:greeting", "two:greeting", "two:json_answer")
        listed = {model.id: model for model in system.openai().models.list()}
        assert {name: listed[name].nodes_online for name in ("endless", "greeting", "json_answer")} == {
            "endless": 1,
            "greeting": 2,
            "json_answer": 1,
        }
        running = begin(system, "endless")  # takes a slot of "one", of that model alone
        answers = {name: system.ask(name) for name in ("greeting", "json_answer")}
        assert answers["greeting"].choices[0].message.content == scripted.GREETING.text
        assert answers["json_answer"].routing_info["node_name"] == "two"
        running.close()

    def test_a_busy_node_is_passed_over(self, start_system):
        system = start_system()
        for name in ("one", "two"):
            system.start_node("endless", name=name, slots=1)
        streams = [begin(system) for _ in range(2)]
        assert {seen.node for seen in system.busy()} == {"one", "two"}
        for stream in streams:
            stream.close()


class TestClientsThatLeave:
    @pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
    def test_the_slot_of_an_answer_that_nobody_reads_is_free_within_a_second(self, start_system, until, whole):
        system = start_system()
        system.start_node("endless", slots=1, **ENDLESS)
        if whole:
            # The SDK's own time-out hangs up in the middle of an answer that was not to be streamed.
            with pytest.raises(openai.APITimeoutError):
                system.ask("endless", max_tokens=LONG, client=system.openai(timeout=0.5))
        else:
            begin(system).close()
        left = time.monotonic()
        until(lambda: not system.busy(), 1)
        assert system.ask("endless", max_tokens=1).usage.completion_tokens == 1
        assert time.monotonic() - left < 1

    @pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
    def test_so_is_the_slot_of_a_prompt_that_is_still_being_read(self, start_system, until, stream):
        """60,000 tokens, which take one thread over a minute, of which it is granted half a second."""
        system = start_system()
        node = system.start_node("greeting", slots=1, **ENDLESS)
        system.ask("greeting")
        used = node.engines[0].cpu_s()
        messages = [{"role": "user", "content": "x" * 60_000}]
        client = raw_post(system, {"model": "greeting", "messages": messages, "stream": stream})
        until(lambda: node.engines[0].cpu_s() > used + 0.5)
        assert [seen.load.busy for seen in system.seen()] == [1]
        client.setblocking(False)
        with pytest.raises(BlockingIOError):  # nothing was answered yet, not even a status
            client.recv(1)
        client.close()
        left = time.monotonic()
        until(lambda: not system.busy(), 1)
        assert system.ask("greeting").choices[0].message.content == scripted.GREETING.text
        assert time.monotonic() - left < 1


class TestNodesThatBreak:
    def test_killed_in_the_middle_the_stream_ends_in_an_error(self, start_system, until):
        system = start_system()
        node = system.start_node("endless", **ENDLESS)
        stream = begin(system)
        killed = time.monotonic()
        node.kill()
        seen = []
        with pytest.raises(openai.APIError) as error:
            seen.extend(stream)
        assert time.monotonic() - killed < 2
        assert error.value.body["code"] == "no_nodes_available"
        assert not any(chunk.choices[0].finish_reason for chunk in seen)
        until(lambda: not system.seen(), 2)
        assert node.engines[0].ends_within(5), "an engine outlived its node"

    def test_killed_before_the_first_output_the_job_moves(self, start_system, until):
        system = start_system()
        nodes = {name: system.start_node("greeting", name=name, slots=1) for name in ("one", "two")}
        for node in nodes.values():
            node.engines[0].send(signal.SIGSTOP)
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(system.ask, "greeting")
            (held,) = until(system.busy)
            for name, node in nodes.items():
                if name != held.node:
                    node.engines[0].send(signal.SIGCONT)
            nodes[held.node].kill()
            answer = asked.result(30)
        assert answer.choices[0].message.content == scripted.GREETING.text
        assert answer.routing_info["attempts"] == 2
        assert answer.routing_info["node_name"] != held.node

    def test_killed_before_the_first_output_with_no_other_node(self, start_system, until):
        system = start_system()
        node = system.start_node("greeting", slots=1)
        node.engines[0].send(signal.SIGSTOP)
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(system.ask, "greeting")
            until(system.busy)
            node.kill()
            with pytest.raises(openai.InternalServerError) as error:
                asked.result(30)
        assert (error.value.status_code, error.value.code) == (503, "no_nodes_available")

    def test_an_engine_that_dies_takes_only_its_own_model_along(self, start_system, until):
        system = start_system()
        node = system.start_node("endless", "greeting", **ENDLESS)
        stream = begin(system)
        killed = time.monotonic()
        node.engines[0].send(signal.SIGKILL)
        with pytest.raises(openai.APIError) as error:
            list(stream)
        assert time.monotonic() - killed < 2
        assert error.value.body["code"] == "no_nodes_available"
        until(lambda: system.on_offer("box:greeting"))
        assert system.ask("auto").choices[0].message.content == scripted.GREETING.text
        with pytest.raises(openai.InternalServerError) as gone:
            system.ask("endless")
        assert gone.value.status_code == 503

    def test_a_node_that_falls_silent_leaves_and_may_come_back(self, start_system, until):
        system = start_system(gguf={"heartbeat_s": 0.5})  # or a busy machine makes it fall silent again
        node = system.start_node("greeting")
        node.popen.send_signal(signal.SIGSTOP)
        until(lambda: not system.seen())
        node.popen.send_signal(signal.SIGCONT)
        until(lambda: system.on_offer("box:greeting"))
        assert system.ask().choices[0].message.content == scripted.GREETING.text


class TestTheLink:
    def test_heartbeats_carry_load(self, start_system, until):
        """What the node itself reports, apart from the hub's own count."""
        system = start_system(gguf={"heartbeat_s": 0.1})
        system.start_node("endless", **ENDLESS)
        (backend,) = {entry.backend for entry in system.running.server.gateway.catalogue.entries()}
        (connection,) = backend._roster._connections.values()

        def reported() -> int:
            return connection.session._reported["endless"].busy

        until(lambda: "endless" in connection.session._reported)
        stream = begin(system)
        until(lambda: reported() == 1, 5)
        stream.close()
        until(lambda: reported() == 0, 5)

    def test_a_signal_drains(self, start_system, until):
        """The engine is halted meanwhile, so that the answer surely still runs when the node leaves the catalogue."""
        system = start_system()
        node = system.start_node("endless")
        stream = begin(system, max_tokens=2000)
        node.engines[0].send(signal.SIGSTOP)
        node.terminate()
        until(lambda: not system.seen(), 5)
        assert node.popen.poll() is None
        node.engines[0].send(signal.SIGCONT)
        *_, last = stream
        assert last.choices[0].finish_reason == "length"
        assert last.usage.completion_tokens == 2000
        assert node.end() == 0
        assert node.engines[0].ends_within(1)
        assert "Traceback" not in node.said()

    def test_a_node_comes_back_to_a_server_that_was_restarted(self, start_system, until):
        system = start_system()
        node = system.start_node("greeting")
        port = int(system.url.rpartition(":")[2])
        system.running.server.stop()
        until(lambda: "Not connected" in node.said())
        settings = Settings(data_dir=system.running.server.data_dir)
        with LiveServer(settings, sources=installed(), port=port) as server:
            system.running = evolve(system.running, server=server)
            until(lambda: system.on_offer("box:greeting"))
            assert system.ask().choices[0].message.content == scripted.GREETING.text
            node.terminate()
            assert node.end() == 0

    def test_a_revoked_token_ends_the_link(self, start_system, until):
        system = start_system(gguf={"recheck_s": 0.1})
        node = system.start_node("greeting")
        with system.running.server.database.transaction() as connection:
            (token,) = list_credentials(connection, kind=Kind.NODE_TOKEN)
            revoke_credential(connection, Kind.NODE_TOKEN, token.id, now=time.time())
        assert node.end() == 2
        assert "does not accept the node token" in node.said()
        assert not system.seen()
        assert node.engines[0].ends_within(1)
