"""What is read of a GPU, from whatever source."""

import unicodedata

from attrs import frozen

from lightphon_backend_gguf.protocol.hardware import Gpu


@frozen
class Reading:
    """A GPU, and how busy it is: bytes of its memory that are free, and its load from 0 to 1. None: not told."""

    gpu: Gpu
    free: int | None = None
    busy: float | None = None


def sendable_name(text: str) -> str | None:
    """A name of hardware as the protocol carries it, printable ASCII of at most 64 characters; None if none is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())[:64].strip() or None
