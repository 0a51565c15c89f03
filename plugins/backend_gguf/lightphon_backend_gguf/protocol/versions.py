"""Which version of the protocol two ends speak, and what is said to a node that is behind.

A version is a WebSocket sub-protocol: the node offers all that it speaks, and the hub picks the best one it speaks too.
Within a version either end may be newer, by this rule: a message of an unknown type, a binary message of an unknown
type, and an unknown field are ignored; a new field is optional, and without it all is as it was before there was
one; the meaning of what exists does not change, and neither do the values that a field may hold. What cannot be done
so needs another version.
"""

import re
from collections.abc import Iterable

from lightphon_backend_gguf.protocol.messages import SUBPROTOCOL

SUBPROTOCOLS = (SUBPROTOCOL,)
"""What this program speaks, the best first."""

PROGRAM = "lightphon-node"
INSTALL = "pip install --upgrade 'lightphon-backend-gguf[node]'"

_RELEASE = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})(?:\.([0-9]{1,6}))?")


def choose(offered: Iterable[str], spoken: tuple[str, ...] = SUBPROTOCOLS) -> str | None:
    """The best sub-protocol that both ends speak; None if there is none."""
    offered = set(offered)
    return next((each for each in spoken if each in offered), None)


def notice_for(software: str, current: str) -> str | None:
    """What to tell the operator of a node that runs `software` ("lightphon-node/0.1.0"), where the server comes with
    release `current`; None if it is as new, or another program."""
    program, _, release = software.partition("/")
    runs, has = _release(release), _release(current)
    if program != PROGRAM or runs is None or has is None or runs >= has:
        return None
    return f"This node runs version {release[:20]}, and the server has {current}. To update: {INSTALL}"


def _release(text: str) -> tuple[int, ...] | None:
    found = _RELEASE.match(text)
    return None if found is None else tuple(int(part or 0) for part in found.groups())
