"""Control messages and frames: what is sent is what arrives, and whatever else arrives is a violation."""

import contextlib
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightphon_backend_gguf.protocol import codec, frames, limits
from lightphon_backend_gguf.protocol.account import Account, EarningsMessage, OfferPrice, PriceMessage
from lightphon_backend_gguf.protocol.closing import ProtocolViolation
from lightphon_backend_gguf.protocol.fields import FieldError
from lightphon_backend_gguf.protocol.hardware import Gpu, Hardware, Machine
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

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}", fullmatch=True)
names = st.from_regex(r"[!-~]([ -~]{0,62}[!-~])?", fullmatch=True)
words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", fullmatch=True)
tokens = st.from_regex(r"[!-~]([ -~]{0,198}[!-~])?", fullmatch=True)
jobs = st.integers(1, limits.JOB_ID)
printable = st.text(max_size=1000).map(lambda text: "".join(c for c in text if c.isprintable()))
facts = st.builds(
    ModelFacts,
    id=ids,
    capabilities=st.lists(words, max_size=8).map(tuple),
    context_length=st.none() | st.integers(1, 2**31),
    maker=st.none() | words,
    params_b=st.none() | st.floats(0, 1e6),
    quantization=st.none() | words,
    architecture=st.none() | words,
    file_bytes=st.none() | st.integers(0, limits.BYTES),
    sha256=st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
offers = st.builds(OfferMessage, id=ids, model=facts, slots=st.integers(1, 1024), engine=st.none() | words)
speeds = st.none() | st.floats(0, limits.TOKENS_PER_S)
sizes = st.none() | st.integers(0, limits.BYTES)
loads = st.builds(OfferLoad, offer=ids, busy=st.integers(0, 99), decode_tps=speeds, prompt_tps=speeds)
machines = st.builds(Machine, memory_free=sizes, gpu_memory_free=sizes, gpu_busy=st.none() | st.floats(0, 1))
gpus = st.builds(Gpu, name=names, memory_bytes=sizes)
amounts = st.integers(0, limits.PRICE_MSAT)
prices = st.builds(PriceMessage, amounts, amounts, amounts, amounts)
earned = st.integers(-limits.EARNED_MSAT, limits.EARNED_MSAT)
earnings = st.builds(EarningsMessage, today=earned, total=earned, pending=st.integers(0, limits.EARNED_MSAT))
messages = st.one_of(
    st.builds(Hello, name=names, software=names),
    st.builds(Welcome, node_id=names, heartbeat_s=st.floats(0.01, 3600)),
    st.builds(Offers, st.lists(offers, max_size=4, unique_by=lambda offer: offer.id).map(tuple), paused=st.booleans()),
    st.builds(Load, st.lists(loads, max_size=4).map(tuple), st.none() | machines),
    st.builds(
        Hardware,
        cpu=st.none() | names,
        cores=st.none() | st.integers(1, 999),
        memory_bytes=sizes,
        gpus=st.lists(gpus, max_size=4).map(tuple),
    ),
    st.builds(
        Account,
        earnings=st.none() | earnings,
        prices=st.lists(st.builds(OfferPrice, offer=ids, price=prices, set_by=words), max_size=4).map(tuple),
    ),
    st.builds(Done, job=jobs),
    st.builds(
        Failed,
        job=jobs,
        kind=st.sampled_from(["refused", "overloaded", "unavailable", "timed_out"]),
        message=printable,
        param=st.none() | tokens,
        code=st.none() | tokens,
        retry_after=st.none() | st.floats(0, 86400),
    ),
    st.builds(Cancel, job=jobs),
    st.sampled_from([Drain(), Ping(), Pong()]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
types = ["hello", "hardware", "welcome", "offers", "load", "done", "failed", "cancel", "drain", "ping", "pong"]


@given(messages)
def test_a_message_arrives_as_it_was_sent(message):
    assert codec.decode(codec.encode(message)) == message


@given(messages, st.data())
def test_unknown_fields_are_ignored_and_a_field_spoilt_is_a_violation_or_still_valid(message, data):
    sent = json.loads(codec.encode(message))
    assert codec.decode(json.dumps({**sent, "of_the_future": [1, {"x": None}]})) == message
    spoilt = {**sent, data.draw(st.sampled_from(sorted(sent))): data.draw(json_values)}
    with contextlib.suppress(ProtocolViolation):
        codec.decode(json.dumps(spoilt))


@given(st.text() | json_values.map(json.dumps) | st.sampled_from(["[" * 200_000, '{"type":' * 50_000, "1" * 5000]))
def test_any_text_is_a_message_or_ignored_or_a_violation(text):
    with contextlib.suppress(ProtocolViolation):
        codec.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"done"}',
        '{"type":"done","job":0}',
        '{"type":"done","job":true}',
        '{"type":"done","job":1.0}',
        '{"type":"done","job":"1"}',
        '{"type":"done","job":9223372036854775808}',
        '{"type":"hello","name":"","software":"x"}',
        '{"type":"hello","name":"a\\nb","software":"x"}',
        '{"type":"hello","name":"n\\u00e4me","software":"x"}',
        '{"type":"hello","name":" a","software":"x"}',
        '{"type":"welcome","node_id":"n","heartbeat_s":NaN}',
        '{"type":"welcome","node_id":"n","heartbeat_s":1e999}',
        '{"type":"failed","job":1,"kind":"bored","message":""}',
        '{"type":"failed","job":1,"kind":"refused","message":"two\\nlines"}',
        '{"type":"load","offers":{"a":1}}',
        '{"type":"load","offers":"ab"}',
        '{"type":"offers","offers":["a"]}',
        '{"type":"offers","offers":[],"paused":1}',
        '{"type":"offers","offers":[],"paused":null}',
        '{"type":"offers","offers":[{"id":"a","slots":1,"model":"a"}]}',
        '{"type":"offers","offers":[{"id":"a","slots":0,"model":{"id":"m","capabilities":[]}}]}',
        '{"type":"offers","offers":[{"id":"a","slots":1,"model":{"id":"<b>","capabilities":[]}}]}',
        '{"type":"offers","offers":[{"id":"a","slots":1,"model":{"id":"m","capabilities":"chat"}}]}',
        '{"type":"offers","offers":[{"id":"a","slots":1,"engine":"a b","model":{"id":"m","capabilities":[]}}]}',
        '{"type":"offers","offers":[{"id":"a","slots":1,"model":{"id":"m","capabilities":[],"sha256":"AB"}}]}',
        '{"type":"load","offers":[{"offer":"a","busy":0,"decode_tps":-1}]}',
        '{"type":"load","machine":{"gpu_busy":1.5}}',
        '{"type":"load","machine":7}',
        '{"type":"hardware","cpu":"\\u001b[31m"}',
        '{"type":"hardware","gpus":[{"name":"a","memory_bytes":1.5}]}',
        '{"type":"hardware","gpus":[' + ",".join(['{"name":"a"}'] * 65) + "]}",
        '{"type":["done"],"job":1}',
        '["done"]',
        "NaN",
    ],
)
def test_a_wrong_field_is_a_violation(text):
    with pytest.raises(ProtocolViolation):
        codec.decode(text)


def test_offers_are_bounded_and_distinct():
    one = OfferMessage(id="a", model=ModelFacts(id="m", capabilities=("chat",)), slots=1)
    with pytest.raises(FieldError):
        Offers((one, one))
    with pytest.raises(FieldError):
        Offers(tuple(OfferMessage(id=f"a{i}", model=one.model, slots=1) for i in range(limits.OFFERS + 1)))
    with pytest.raises(ProtocolViolation):
        codec.decode(json.dumps({"type": "ping", "padding": "x" * limits.TEXT_CHARACTERS}))


def test_a_violation_never_quotes_the_peer():
    secret = "my-prompt-text"
    for text in (f'{{"type":"failed","job":1,"kind":"{secret}","message":""}}', f'{{"{secret}', f'{{"type":"{secret}"'):
        with pytest.raises(ProtocolViolation) as caught:
            codec.decode(text)
        assert secret not in str(caught.value)
        assert caught.value.__context__ is None or caught.value.__suppress_context__


@given(st.text(), st.text(), st.floats())
def test_whatever_an_engine_says_of_a_failure_can_be_sent(message, code, retry_after):
    error = JobFailed("overloaded", message, param=code, code=code, retry_after=retry_after)
    sent = error.to_message(7)
    assert codec.decode(codec.encode(sent)) == sent
    assert message not in str(error) or message in "overloaded"


@given(st.sampled_from(frames.FrameType), jobs, st.binary(max_size=300))
def test_a_frame_arrives_as_it_was_sent(kind, job, payload):
    assert frames.decode(frames.encode(frames.Frame(kind, job, payload))) == frames.Frame(kind, job, payload)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_frame_or_ignored_or_a_violation(data):
    try:
        frame = frames.decode(data)
        if frame is not None and frame.type is frames.FrameType.JOB:
            frames.decode_header(frame.payload)
    except ProtocolViolation:
        pass


def test_frames_have_documented_bytes_and_bounds():
    assert frames.encode(frames.Frame(frames.FrameType.OUTPUT, 258, b"ab")) == b"\x03\0\0\0\0\0\0\x01\x02ab"
    assert frames.decode(b"\x7f" + bytes(7) + b"\x01") is None
    for bad in (b"", b"\x03" + bytes(7), b"\x03" + bytes(8), b"\x03" + b"\xff" * 8):
        with pytest.raises(ProtocolViolation):
            frames.decode(bad)
    with pytest.raises(ProtocolViolation):
        frames.decode(b"\x03" + bytes(7) + b"\x01" + bytes(limits.FRAGMENT_BYTES + 1))


@given(st.integers(0, 5).flatmap(lambda n: st.integers(max(0, n * 65536 - 2), n * 65536 + 2)))
def test_pieces_are_the_whole_in_order(size):
    data = (string.ascii_letters.encode() * (size // 52 + 1))[:size]
    pieces = list(frames.pieces(data))
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= limits.FRAGMENT_BYTES for piece in pieces)


def test_what_an_older_node_says_is_accepted():
    offers = (
        '{"type":"offers","offers":[{"id":"a","slots":1,"price":null,"model":{"id":"m","capabilities":["chat"],'
        '"context_length":1,"maker":null,"params_b":0.5,"quantization":"F16"}}]}'
    )
    assert codec.decode(offers) == Offers(
        (OfferMessage("a", ModelFacts("m", ("chat",), 1, params_b=0.5, quantization="F16"), 1),)
    )
    assert codec.decode('{"type":"load","offers":[{"offer":"a","busy":1,"queued":0}]}') == Load((OfferLoad("a", 1),))
