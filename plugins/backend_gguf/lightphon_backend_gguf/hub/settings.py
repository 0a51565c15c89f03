"""Settings of the plugin: the section `[plugins.gguf]`."""

from typing import Any

from attrs import field, frozen, validators

from lightphon_backend_gguf.protocol import limits


def _number(default: Any, low: float, high: float, text: str) -> Any:
    return field(default=default, validator=[validators.ge(low), validators.le(high)], metadata={"help": text})


@frozen
class GgufSettings:
    """How the server deals with the nodes that dial in."""

    heartbeat_s: float = _number(
        5.0, 0.01, 3600, "Seconds between heartbeats. A node that is silent for three of them counts as gone."
    )
    hello_timeout_s: float = _number(10.0, 0.01, 3600, "Seconds a new connection has to show its token and say hello.")
    recheck_s: float = _number(
        10.0, 0.01, 86400, "Seconds between checks of a connected node's token: a revoked one is cut off within that."
    )
    account_s: float = _number(
        60.0, 0.01, 86400, "Seconds between messages that tell a node what its account has earned."
    )
    max_offers: int = _number(64, 1, limits.OFFERS, "Models that one node may offer.")
    max_nodes_per_token: int = _number(64, 1, 100_000, "Nodes that may be connected with one token at a time.")
    unread_limit: int = _number(
        4 * 1024 * 1024,
        limits.FRAGMENT_BYTES,
        2**30,
        "Bytes of one answer that may wait to be read; beyond that the job is cancelled and fails.",
    )
