"""Both ends of the protocol, alone against a stranger and together against each other."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from lightphon_backend_gguf.protocol import codec, frames, limits
from lightphon_backend_gguf.protocol.closing import ProtocolViolation
from lightphon_backend_gguf.protocol.frames import Frame, FrameType, JobHeader
from lightphon_backend_gguf.protocol.hub_session import Ended, HubSession, Joined, OffersChanged, Output
from lightphon_backend_gguf.protocol.messages import (
    Cancel,
    Done,
    Drain,
    Failed,
    Hello,
    JobFailed,
    Load,
    ModelFacts,
    OfferLoad,
    OfferMessage,
    Offers,
    Ping,
    Pong,
    Welcome,
)
from lightphon_backend_gguf.protocol.node_session import JobCancelled, JobReceived, NodeSession, Welcomed

PATH = "/v1/chat/completions"
OFFER = OfferMessage(id="a", model=ModelFacts(id="m", capabilities=("chat",)), slots=3)
HELLO = codec.encode(Hello(name="box", software="test/1"))
WELCOME = codec.encode(Welcome(node_id="n", heartbeat_s=5))


def joined() -> HubSession:
    hub = HubSession()
    assert hub.receive_text(HELLO) == [Joined(Hello(name="box", software="test/1"))]
    assert hub.receive_text(codec.encode(Offers((OFFER,)))) == [OffersChanged()]
    return hub


def welcomed() -> NodeSession:
    node = NodeSession("box", "test/1")
    assert node.next() == HELLO
    assert node.receive_text(WELCOME) == [Welcomed(Welcome(node_id="n", heartbeat_s=5))]
    return node


def sent_by(session: HubSession | NodeSession) -> list[str | bytes]:
    return list(iter(session.next, None))


def header(job: int, size: int) -> bytes:
    payload = frames.encode_header(JobHeader(offer="a", path=PATH, size=size, timeout_s=9))
    return frames.encode(Frame(FrameType.JOB, job, payload))


def body(job: int, data: bytes) -> bytes:
    return frames.encode(Frame(FrameType.BODY, job, data))


def output(job: int, data: bytes) -> bytes:
    return frames.encode(Frame(FrameType.OUTPUT, job, data))


some_jobs = st.integers(1, 4)
from_anyone = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=60),
    st.builds(output, some_jobs, st.binary(max_size=5)),
    st.builds(body, some_jobs, st.binary(max_size=5)),
    st.builds(header, some_jobs, st.integers(0, 9)),
    st.one_of(
        st.sampled_from([Ping(), Pong(), Drain(), Offers((OFFER,)), Offers(()), Load((OfferLoad("a", 1),))]),
        st.builds(Done, some_jobs),
        st.builds(Cancel, some_jobs),
        some_jobs.map(lambda job: Failed(job=job, kind="refused", message="No.")),
    ).map(codec.encode),
)


@settings(max_examples=300)
@given(st.lists(from_anyone, max_size=12), st.booleans())
def test_a_stranger_can_only_cause_violations(messages, at_the_hub):
    session: HubSession | NodeSession
    if at_the_hub:
        session = joined()
        for _ in range(2):
            session.start_job("a", PATH, b"{}", 9)
    else:
        session = welcomed()
    sent_by(session)
    ended: list[int] = []
    try:
        for message in messages:
            take = session.receive_text if isinstance(message, str) else session.receive_bytes
            ended += [event.job for event in take(message) if isinstance(event, Ended)]
            sent_by(session)
    except ProtocolViolation:
        pass
    assert len(ended) == len(set(ended))
    if isinstance(session, HubSession):
        assert session.busy("a") == 2 - len(ended)


@pytest.mark.parametrize("first", [codec.encode(Ping()), output(1, b"x"), "{}", WELCOME])
def test_nothing_comes_before_hello(first):
    hub = HubSession()
    with pytest.raises(ProtocolViolation):
        hub.receive_text(first) if isinstance(first, str) else hub.receive_bytes(first)


@pytest.mark.parametrize("first", [codec.encode(Ping()), header(1, 0), "{}", HELLO])
def test_nothing_comes_before_welcome(first):
    node = NodeSession("box", "test/1")
    with pytest.raises(ProtocolViolation):
        node.receive_text(first) if isinstance(first, str) else node.receive_bytes(first)


def test_an_id_that_was_never_issued_is_a_violation_and_a_retired_one_is_ignored():
    hub = joined()
    job = hub.start_job("a", PATH, b"{}", 9)
    with pytest.raises(ProtocolViolation):
        hub.receive_bytes(output(job, b"before it was sent"))
    sent_by(hub)
    assert hub.receive_text(codec.encode(Done(job))) == [Ended(job)]
    assert hub.receive_bytes(output(job, b"late")) == []
    assert hub.receive_text(codec.encode(Done(job))) == []
    for stranger in (codec.encode(Done(job + 1)), codec.encode(Failed(job=9, kind="refused", message=""))):
        with pytest.raises(ProtocolViolation):
            hub.receive_text(stranger)
    with pytest.raises(ProtocolViolation):
        hub.receive_bytes(output(job + 1, b"x"))

    node = welcomed()
    assert node.receive_bytes(header(5, 0)) == [JobReceived(5, "a", PATH, b"", 9)]
    node.done(5)
    assert node.receive_text(codec.encode(Cancel(5))) == []
    assert node.receive_bytes(body(3, b"x")) == []
    for stranger in (header(5, 0), header(4, 0), body(6, b"x")):
        with pytest.raises(ProtocolViolation):
            node.receive_bytes(stranger)
    with pytest.raises(ProtocolViolation):
        node.receive_text(codec.encode(Cancel(6)))


def test_a_body_may_not_be_longer_than_announced():
    node = welcomed()
    assert node.receive_bytes(header(1, 3)) == []
    with pytest.raises(ProtocolViolation):
        node.receive_bytes(body(1, b"four"))


def test_a_node_bounds_what_it_keeps_of_unfinished_bodies():
    node = welcomed()
    fits = limits.UNFINISHED_BYTES // limits.BODY_BYTES
    for job in range(1, fits + 2):
        assert node.receive_bytes(header(job, limits.BODY_BYTES)) == []
    (refusal,) = sent_by(node)
    assert codec.decode(refusal).kind == "overloaded"
    assert node.receive_bytes(body(fits + 1, b"x")) == []
    # One given up makes room for another.
    node.receive_text(codec.encode(Cancel(1)))
    node.receive_bytes(header(fits + 2, limits.BODY_BYTES))
    assert sent_by(node) == [codec.encode(Done(1))]


def test_control_overtakes_bodies_and_jobs_take_turns():
    hub = joined()
    big = hub.start_job("a", PATH, bytes(10 * limits.FRAGMENT_BYTES), 9)
    small = hub.start_job("a", PATH, b"{}", 9)
    first = hub.next()
    hub.ping()
    hub.ping()
    hub.receive_text(codec.encode(Ping()))
    rest = sent_by(hub)
    assert rest[:2] == [codec.encode(Ping()), codec.encode(Pong())]
    order = [frames.decode(message).job for message in [first, *rest[2:]]]
    assert order[:4] == [big, small, big, small]
    assert order[4:] == [big] * 9


def test_a_job_cancelled_before_it_left_never_reaches_the_node():
    hub = joined()
    job = hub.start_job("a", PATH, b"{}", 9)
    hub.cancel(job)
    assert sent_by(hub) == []
    assert hub.busy("a") == 0


def test_a_cancelled_job_keeps_its_slot_until_the_node_lets_go():
    hub = joined()
    job = hub.start_job("a", PATH, bytes(3 * limits.FRAGMENT_BYTES), 9)
    hub.next()
    hub.cancel(job)
    assert sent_by(hub) == [codec.encode(Cancel(job))]
    assert hub.busy("a") == 1
    assert hub.receive_bytes(output(job, b"late")) == []
    assert hub.receive_text(codec.encode(Done(job))) == []
    assert hub.busy("a") == 0


def test_load_is_the_higher_of_both_counts():
    hub = joined()
    assert hub.load("a") == (0, 0)
    hub.start_job("a", PATH, b"", 9)
    assert hub.load("a") == (1, 0)
    hub.receive_text(codec.encode(Load((OfferLoad("a", 2, 5),))))
    assert hub.load("a") == (2, 5)


def test_the_operator_bounds_offers():
    hub = HubSession(max_offers=1)
    hub.receive_text(HELLO)
    two = Offers((OFFER, OfferMessage(id="b", model=OFFER.model, slots=1)))
    with pytest.raises(ProtocolViolation):
        hub.receive_text(codec.encode(two))


class BothEnds(RuleBasedStateMachine):
    """A hub and a node with a wire each way; messages travel when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.hub, self.node = joined(), welcomed()
        self.to_node: deque[str | bytes] = deque()
        self.to_hub: deque[str | bytes] = deque()
        self.bodies: dict[int, bytes] = {}
        self.cancelled: set[int] = set()
        self.running: set[int] = set()  # at the node, and not being cancelled
        self.stopping: set[int] = set()  # at the node, told to stop
        self.said: dict[int, bytes] = {}  # by the node's jobs
        self.heard: dict[int, bytes] = {}  # by the hub's readers
        self.verdicts: dict[int, str] = {}  # how the node ended a job
        self.ended: dict[int, str] = {}  # how the hub learnt of it

    @precondition(lambda self: self.hub.busy("a") < OFFER.slots)
    @rule(size=st.sampled_from([0, 1, 100, limits.FRAGMENT_BYTES, 2 * limits.FRAGMENT_BYTES + 1]))
    def start(self, size: int) -> None:
        data = bytes([len(self.bodies) % 256]) * size
        job = self.hub.start_job("a", PATH, data, 9)
        assert job not in self.bodies
        self.bodies[job] = data
        self.heard[job] = b""

    @precondition(lambda self: self.bodies)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.bodies)))
        self.hub.cancel(job)
        if job not in self.ended:
            self.cancelled.add(job)

    @rule(count=st.integers(1, 5))
    def hub_sends(self, count: int) -> None:
        self.to_node.extend(message for _ in range(count) if (message := self.hub.next()) is not None)

    @rule(count=st.integers(1, 5))
    def node_sends(self, count: int) -> None:
        self.to_hub.extend(message for _ in range(count) if (message := self.node.next()) is not None)

    @precondition(lambda self: self.to_node)
    @rule()
    def node_receives(self) -> None:
        message = self.to_node.popleft()
        take = self.node.receive_text if isinstance(message, str) else self.node.receive_bytes
        for event in take(message):
            match event:
                case JobReceived(job=job, body=data):
                    assert data == self.bodies[job]
                    assert job not in self.said
                    self.running.add(job)
                    self.said[job] = b""
                case JobCancelled(job):
                    self.running.remove(job)
                    self.stopping.add(job)

    @precondition(lambda self: self.to_hub)
    @rule()
    def hub_receives(self) -> None:
        message = self.to_hub.popleft()
        take = self.hub.receive_text if isinstance(message, str) else self.hub.receive_bytes
        for event in take(message):
            assert isinstance(event, Output | Ended)
            assert event.job not in self.cancelled
            assert event.job not in self.ended
            match event:
                case Output(job, data):
                    self.heard[job] += data
                case Ended(job, failed):
                    self.ended[job] = failed.kind if failed else "done"

    @precondition(lambda self: self.running | self.stopping)
    @rule(data=st.data(), part=st.binary(max_size=8), times=st.sampled_from([1, 1, 10_000]))
    def job_says(self, data: st.DataObject, part: bytes, times: int) -> None:
        job = data.draw(st.sampled_from(sorted(self.running | self.stopping)))
        self.node.output(job, part * times)
        if job in self.running:
            self.said[job] += part * times

    @precondition(lambda self: self.running | self.stopping)
    @rule(data=st.data(), verdict=st.sampled_from(["done", "refused", "overloaded", "unavailable", "timed_out"]))
    def job_ends(self, data: st.DataObject, verdict: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.running | self.stopping)))
        self.verdicts[job] = verdict
        self.running.discard(job)
        self.stopping.discard(job)
        if verdict == "done":
            self.node.done(job)
        else:
            self.node.failed(job, JobFailed(verdict, "No."))

    @rule()
    def ping(self) -> None:
        self.hub.ping()
        self.node.load([OfferLoad("a", len(self.running))])

    @invariant()
    def what_is_heard_was_said(self) -> None:
        for job, data in self.heard.items():
            assert self.said.get(job, b"").startswith(data)
        assert 0 <= self.hub.busy("a") <= OFFER.slots

    def teardown(self) -> None:
        """Let everything arrive: each job must have ended once, as the node said, and no slot may stay taken."""
        while True:
            self.hub_sends(5)
            self.node_sends(5)
            if self.to_node:
                self.node_receives()
            elif self.to_hub:
                self.hub_receives()
            elif left := self.running | self.stopping:
                self.verdicts[min(left)] = "done"
                self.node.done(min(left))
                self.running.discard(min(left))
                self.stopping.discard(min(left))
            else:
                break
        assert set(self.ended) | self.cancelled == set(self.bodies)
        assert not set(self.ended) & self.cancelled
        for job, verdict in self.ended.items():
            assert verdict == self.verdicts[job]
            assert self.heard[job] == self.said[job]
        assert self.hub.busy("a") == 0
        assert not self.node.pending


TestBothEnds = BothEnds.TestCase
TestBothEnds.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
