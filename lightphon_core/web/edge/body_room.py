"""How much of the requests' bodies is held at one time, and by whom. Pure."""

from __future__ import annotations

from lightphon_core.errors import ServerBusy

RETRY_AFTER_S = 5.0
"""Room comes free as answers end; nobody knows when that is."""


class BodyRoom:
    """Room for `limit` bytes of bodies. A holder, by whatever name, has no more of it than it leaves free: one alone
    half, so nobody ever takes what another is to find."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._limit = limit
        self._held: dict[str, int] = {}

    @property
    def held(self) -> int:
        """Bytes that all of them hold."""
        return self._limit - self._free

    def check(self, holder: str, size: int) -> None:
        """Raise `ServerBusy` where there is no room now for `size` bytes more of this holder's."""
        if self._held.get(holder, 0) + size > self._free - size:
            raise ServerBusy(
                "There is no room for this body now: the server holds as much of the requests under way as its memory "
                "allows. Try again shortly, send fewer such requests at once, or smaller images.",
                retry_after=RETRY_AFTER_S,
            )

    def take(self, holder: str, size: int) -> None:
        """Hold them, or raise as `check` does."""
        self.check(holder, size)
        self._held[holder] = self._held.get(holder, 0) + size
        self._free -= size

    def give_back(self, holder: str, size: int) -> None:
        """What was taken is held no longer."""
        self._held[holder] -= size
        self._free += size
        if not self._held[holder]:
            del self._held[holder]
