"""The child's half of `child.py`: what every worker does before it loads anything."""

import json
import os
import select
import sys
from typing import Any, TextIO


def begin() -> tuple[dict[str, Any], TextIO]:
    """The specification from standard input, and where to write the one ready line.

    From here on the process ends with its parent, and what a library prints goes to standard error.
    """
    # Byte by byte: a buffer would take in the end of the input, which is the sign to stop.
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) not in (b"", b"\n"):
        line += byte
    end_with_parent()
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return json.loads(line), reports


def end_with_parent() -> None:
    """Have the kernel end this process when standard input closes, even while the GIL is held or after an exec.

    SIGIO's default action is to terminate. Where there is no such thing, `wait_for_end` still sees it.
    """
    if sys.platform == "win32":
        return
    import fcntl  # not on Windows

    fcntl.fcntl(sys.stdin, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sys.stdin, fcntl.F_SETFL, fcntl.fcntl(sys.stdin, fcntl.F_GETFL) | os.O_ASYNC)
    already = select.poll()
    already.register(sys.stdin, select.POLLIN)
    if already.poll(0):
        os._exit(0)


def wait_for_end() -> None:
    """Wait until standard input closes, and leave at once: an ordinary exit may abort while a thread computes."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)
