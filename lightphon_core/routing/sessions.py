"""Which offer answered a conversation last: what it computed of the prompt may still lie in that node's memory.

Hints, never truth: lost with the process, and a node says nothing of what it still holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

CAPACITY = 10_000
"""Conversations remembered; the one that was answered longest ago goes first."""
TTL_S = 1_800.0
"""After this time without an answer nobody expects a node to hold a conversation's prefix still."""
DIGEST_BYTES = 16


def digest(secret: bytes, account_id: str, material: bytes) -> str:
    """A conversation's name: a MAC over account and `material`, which may be the client's own text.

    So equal conversations of two accounts have two names, and whoever sees a name but not `secret` (at most 64 bytes)
    learns nothing of what it was made of, nor can tell a guess.
    """
    mac = hashlib.blake2b(key=secret, digest_size=DIGEST_BYTES, person=b"lightphon-affin")
    account = account_id.encode()
    mac.update(len(account).to_bytes(8, "big"))  # or the end of one could pass for the beginning of the other
    mac.update(account)
    mac.update(material)
    return mac.hexdigest()


class Sessions:
    """One per application. `secret` is random and the process's own; `monotonic` is the clock, in seconds."""

    def __init__(
        self, secret: bytes, monotonic: Callable[[], float], *, capacity: int = CAPACITY, ttl_s: float = TTL_S
    ) -> None:
        self._secret = secret
        self._monotonic = monotonic
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._holders: dict[str, tuple[tuple[str, str], float]] = {}

    def name(self, account_id: str, material: bytes) -> str:
        """What the account's conversation is called here: `Needs.session`."""
        return digest(self._secret, account_id, material)

    def holder(self, session: str) -> tuple[str, str] | None:
        """The key of the offer that answered last; None if nobody did lately."""
        held = self._holders.get(session)
        if held is None or self._monotonic() - held[1] >= self._ttl_s:
            return None
        return held[0]

    def answered(self, session: str, key: tuple[str, str]) -> None:
        """An offer has computed the conversation as it is now."""
        now = self._monotonic()
        self._holders.pop(session, None)
        self._holders[session] = key, now
        for _ in range(2):  # the oldest come first; two for each that is added, so that what has expired goes
            oldest = next(iter(self._holders))
            if len(self._holders) > self._capacity or now - self._holders[oldest][1] >= self._ttl_s:
                del self._holders[oldest]
