"""Binary messages: jobs and their output.

One type byte, eight bytes of job id (unsigned, big-endian), then the payload:

    0x01 JOB      hub to node    a JSON object: offer, path, size (bytes of the body), timeout_s
    0x02 BODY     hub to node    the next piece of the body
    0x03 OUTPUT   node to hub    the next piece of what the engine answered

Payloads are at most `limits.FRAGMENT_BYTES` long, so that nothing large ever stands between two heartbeats.
"""

import json
import re
import struct
from collections.abc import Iterator
from enum import IntEnum

from attrs import asdict, field, frozen

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.closing import ProtocolViolation
from lightphon_backend_gguf.protocol.codec import decode_object, structure
from lightphon_backend_gguf.protocol.fields import an_id, number, text, whole

_PATH = re.compile(r"/[A-Za-z0-9._/-]{0,199}")
_PREFIX = struct.Struct("!BQ")


class FrameType(IntEnum):
    """First byte of a binary message."""

    JOB = 1
    BODY = 2
    OUTPUT = 3


@frozen
class Frame:
    """One binary message."""

    type: FrameType
    job: int
    payload: bytes | memoryview = field(repr=False)


@frozen
class JobHeader:
    """What a job is, ahead of its body. `size`: bytes of the body. `timeout_s`: seconds left for the whole answer."""

    offer: str = field(validator=an_id)
    path: str = field(validator=text("a path: / and then at most 199 of A-Z a-z 0-9 . _ / -", _PATH))
    size: int = field(validator=whole(0, limits.BODY_BYTES))
    timeout_s: float = field(validator=number(0, 86400))


def encode(frame: Frame) -> bytes:
    """The bytes to send."""
    return _PREFIX.pack(frame.type, frame.job) + frame.payload


def decode(data: bytes) -> Frame | None:
    """The frame that was sent; None if its type is not known. Raises `ProtocolViolation`."""
    if len(data) < _PREFIX.size or len(data) > _PREFIX.size + limits.FRAGMENT_BYTES:
        raise ProtocolViolation("a binary message is too short or too long")
    number, job = _PREFIX.unpack_from(data)
    if not 1 <= job <= limits.JOB_ID:
        raise ProtocolViolation("a job id is out of range")
    try:
        kind = FrameType(number)
    except ValueError:
        return None
    return Frame(kind, job, data[_PREFIX.size :])


def encode_header(header: JobHeader) -> bytes:
    """The payload of a JOB frame."""
    return json.dumps(asdict(header), separators=(",", ":")).encode()


def decode_header(payload: bytes | memoryview) -> JobHeader:
    """The header in a JOB frame. Raises `ProtocolViolation`."""
    if len(payload) > limits.HEADER_BYTES:
        raise ProtocolViolation("a job header is too long")
    return structure(decode_object(bytes(payload)), JobHeader, "job")


def pieces(data: bytes) -> Iterator[memoryview]:
    """`data` in order, in pieces that fit one frame each, without copying."""
    view = memoryview(data)
    for start in range(0, len(view), limits.FRAGMENT_BYTES):
        yield view[start : start + limits.FRAGMENT_BYTES]
