"""Why a node link ends: the WebSocket close codes, and the error of a peer that breaks the rules."""

from enum import IntEnum


class CloseCode(IntEnum):
    """The codes both ends use. A bad token is accepted and then closed, since a refusal before that is a bare 403."""

    NORMAL = 1000
    """The node leaves of its own accord, or has drained."""
    POLICY = 1008
    """Frames, pings or fragments that are there for their number alone; from the server's WebSockets."""
    TOO_LARGE = 1009
    """A message beyond `limits.MESSAGE_BYTES`; from the WebSocket libraries."""
    RESTARTING = 1012
    """The server stops or restarts; come back."""
    TRY_LATER = 1013
    """The server cannot check the token just now; come back."""
    PROTOCOL_VIOLATION = 4400
    """A message broke the rules of the protocol."""
    BAD_TOKEN = 4401
    """The token is missing, unknown or revoked."""
    NOT_A_NODE_TOKEN = 4403
    """The token is valid but does not carry the node scope."""
    HELLO_TOO_LATE = 4408
    """The node did not say hello in time."""
    REPLACED = 4409
    """A newer connection of the same node has taken over."""
    SILENT = 4410
    """The peer sent nothing for three heartbeats."""
    TOO_MANY_NODES = 4412
    """As many nodes as may be are connected with this token."""
    UNSUPPORTED_VERSION = 4426
    """The node speaks no sub-protocol that the server does."""
    FLOODING = 4429
    """The peer sent more messages than its allowance; see `tolls`."""


FINAL: dict[int, str] = {
    CloseCode.BAD_TOKEN: "the server does not accept the node token (unknown or revoked)",
    CloseCode.NOT_A_NODE_TOKEN: "the token is valid, but it is not a node token",
    CloseCode.REPLACED: "another node with the same token and name has taken over; give this one a name of its own",
    CloseCode.UNSUPPORTED_VERSION: "server and node speak no common version of the node protocol; install the"
    " lightphon-backend-gguf[node] of the server's own version",
}
"""Codes after which trying again cannot help, and what to tell the operator."""


class ProtocolViolation(Exception):
    """The peer broke the rules; the connection is closed with 4400. The text never quotes the peer."""
