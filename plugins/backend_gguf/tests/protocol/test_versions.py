"""Old peers and new ones: what version 1 said as it began must be understood for as long as there is a version 1."""

import json
from pathlib import Path

import pytest
from lightphon_backend_gguf.hub.translate import to_offer
from lightphon_backend_gguf.protocol import codec, frames
from lightphon_backend_gguf.protocol.account import PriceMessage
from lightphon_backend_gguf.protocol.closing import ProtocolViolation
from lightphon_backend_gguf.protocol.frames import Frame, FrameType, JobHeader
from lightphon_backend_gguf.protocol.hub_session import HubSession, Joined
from lightphon_backend_gguf.protocol.messages import (
    Cancel,
    Done,
    Drain,
    Failed,
    Hello,
    Load,
    ModelFacts,
    OfferLoad,
    OfferMessage,
    Offers,
    Ping,
    Pong,
    Welcome,
)
from lightphon_backend_gguf.protocol.node_session import NodeSession, Welcomed
from lightphon_backend_gguf.protocol.versions import SUBPROTOCOLS, choose, notice_for

from lightphon_core import Capability, Node

NODE = Node("n", "box")
RECORDED = (Path(__file__).parent / "recorded" / "v1.txt").read_text().splitlines()
FACTS = ModelFacts("Qwen/Qwen2.5-7B", ("chat", "tools"), 32768, "qwen", 7.6, "Q4_K_M")
FULL = OfferMessage("qwen2.5", FACTS, 4, PriceMessage(2000, 1, 2, 3))
BARE = OfferMessage("m", ModelFacts("m", ("embedding",)), 1)
MEANT = [
    Hello("box", "lightphon-node/0.1.0"),
    Offers((FULL, BARE)),
    Offers(()),
    Load((OfferLoad("qwen2.5", 2, 1),)),
    Load(),
    Done(1),
    Failed(2, "refused", "No.", "messages", "a_code"),
    Failed(3, "overloaded", "Busy.", retry_after=7.5),
    Failed(4, "unavailable", "Gone."),
    Failed(5, "timed_out", "Late."),
    Drain(),
    Ping(),
    Pong(),
    Welcome("node-0123456789abcdef0123", 5.0),
    Cancel(9),
    JobHeader("qwen2.5", "/v1/chat/completions", 2, 59.5),
    Frame(FrameType.BODY, 1, b"{}"),
    Frame(FrameType.OUTPUT, 1, b"data: {}\n\n"),
    Frame(FrameType.OUTPUT, 2**63 - 1, b""),
]
# Fields that have come since have their defaults in what was recorded before them.


@pytest.mark.parametrize(("recorded", "meant"), list(zip(RECORDED, MEANT, strict=True)))
def test_what_was_said_then_is_understood_now(recorded, meant):
    if isinstance(meant, JobHeader):
        frame = frames.decode(bytes.fromhex(recorded))
        assert (frame.type, frame.job) == (FrameType.JOB, 1)
        assert frames.decode_header(frame.payload) == meant
    elif isinstance(meant, Frame):
        assert frames.decode(bytes.fromhex(recorded)) == meant
        assert frames.encode(meant).hex() == recorded
    else:
        assert codec.decode(recorded) == meant
        said = json.loads(codec.encode(meant))
        then = json.loads(recorded)
        assert _holds(said, then), "what is said now must say at least what was said then"


def _holds(now, then) -> bool:
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and _holds(now[key], then[key]) for key in then)
    if isinstance(then, list):
        return len(now) == len(then) and all(map(_holds, now, then))
    return bool(now == then)


@pytest.mark.parametrize("recorded", [line for line in RECORDED if line.startswith("{")])
def test_fields_of_the_future_are_ignored_at_every_depth(recorded):
    def extended(value):
        if isinstance(value, dict):
            return {**{k: extended(v) for k, v in value.items()}, "of_the_future": [{"x": None}]}
        return [extended(item) for item in value] if isinstance(value, list) else value

    assert codec.decode(json.dumps(extended(json.loads(recorded)))) == codec.decode(recorded)


def test_capabilities_are_words_that_either_end_may_lack():
    """A node of old does not say what it was not asked then; a server of old does not know what is said now."""
    then = [to_offer(NODE, each).model.capabilities for each in codec.decode(RECORDED[1]).offers]
    assert then == [{Capability.CHAT, Capability.TOOLS}, {Capability.EMBEDDING}]
    later = RECORDED[1].replace('"chat"', '"chat","logprobs","choices","of_the_future"')
    first, _ = codec.decode(later).offers
    assert "of_the_future" in first.model.capabilities
    able = {Capability.CHAT, Capability.TOOLS, Capability.LOGPROBS, Capability.CHOICES}
    assert to_offer(NODE, first).model.capabilities == able


def test_messages_and_frames_of_the_future_are_ignored_on_both_ends():
    later = json.dumps({"type": "of_the_future", "job": -1, "x": {"y": [1]}})
    hub, node = HubSession(), NodeSession("box", "lightphon-node/9.9")
    assert hub.receive_text(RECORDED[0]) == [Joined(Hello("box", "lightphon-node/0.1.0"))]
    assert isinstance(node.receive_text(RECORDED[13])[0], Welcomed)
    for session in (hub, node):
        assert session.receive_text(later) == []
        assert session.receive_bytes(b"\x7f" + bytes(7) + b"\x01of the future") == []


def test_what_is_missing_from_version_1_is_still_a_violation():
    for recorded in (line for line in RECORDED if line.startswith("{") and '"type":"hello"' in line):
        for field in ("name", "software"):
            with pytest.raises(ProtocolViolation):
                codec.decode(json.dumps({k: v for k, v in json.loads(recorded).items() if k != field}))


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        (["v1"], ("v2", "v1"), "v1"),
        (["v1", "v2"], ("v2", "v1"), "v2"),
        (["v3", "v2"], ("v2", "v1"), "v2"),
        (["v3"], ("v2", "v1"), None),
        ([], ("v1",), None),
    ],
)
def test_the_best_version_that_both_speak_is_chosen(offered, spoken, chosen):
    assert choose(offered, spoken) == chosen


def test_this_program_still_speaks_version_1():
    assert "lightphon.node.v1" in SUBPROTOCOLS


@pytest.mark.parametrize(
    ("software", "behind"),
    [
        ("lightphon-node/0.1.0", True),
        ("lightphon-node/0.9", True),
        ("lightphon-node/0.9.10rc1", True),
        ("lightphon-node/0.10.0", False),
        ("lightphon-node/0.10", False),
        ("lightphon-node/1.0", False),
        ("lightphon-node/", False),
        ("lightphon-node", False),
        ("other/0.0.1", False),
        ("lightphon-node/0.1" + "9" * 40, False),
    ],
)
def test_an_old_node_is_told_what_to_install(software, behind):
    notice = notice_for(software, "0.10.0")
    assert (notice is not None) is behind
    if notice is not None:
        assert "pip install --upgrade 'lightphon-backend-gguf[node]'" in notice
        Welcome("n", 1, notice=notice)
