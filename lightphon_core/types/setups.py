"""How somebody adds a node of their own: what a backend tells of it, for people to read and to paste."""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

TOKEN_HERE: Final = "YOUR_NODE_TOKEN"  # noqa: S105 - what stands where a token goes
MODEL_HERE: Final = "YOUR_MODEL"


@frozen
class NodeSetup:
    """`title` says what kind of node it is, `summary` what it does, and `requirements` what it takes, one thing each:
    plain text all of them. `command` is what to paste into a shell, in one line or several: it has `TOKEN_HERE` once,
    where the node token goes, which should be the environment, since everybody on a machine can read command lines.

    `command` may have `MODEL_HERE` once, for what the node is to serve; `models` are suggestions for it, words of a
    shell as they are, and the first is taken unless told. `more` is the path of a page of this server that says more.
    """

    title: str
    summary: str
    requirements: Sequence[str]
    command: str
    models: Sequence[str] = ()
    more: str | None = None
