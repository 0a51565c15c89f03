"""When an engine that has ended is started again, and when it is given up. Pure: clock and chance come from outside."""

from collections.abc import Callable

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
STEADY_S = 120.0
"""An engine that ran this long ran well: its next restart comes soon, whatever there was before."""

ATTEMPTS = 5
"""Starts that may fail before a model that never ran is given up."""


class Restarts:
    """The starts of one model's engine. Call `ran` when it takes jobs, and `ended` when it does so no more.

    `clock` is monotonic, in seconds; `random` gives 0 to 1. `attempts` is None for an engine that is somebody else's
    to start, and may come at any time.
    """

    def __init__(
        self, clock: Callable[[], float], random: Callable[[], float], *, attempts: int | None = ATTEMPTS
    ) -> None:
        self._clock = clock
        self._random = random
        self._attempts = attempts
        self._ever = False
        self._since: float | None = None
        self._ends = 0

    def ran(self) -> None:
        """The engine takes jobs."""
        self._ever = True
        self._since = self._clock()

    def ended(self, *, lasting: bool = False) -> float | None:
        """The engine ended, or did not start: the seconds to wait before the next start, or None to give it up.

        `lasting`: it says itself that it cannot start, which another attempt will not change; it counts as long as the
        model never ran. What ran once can run again, and is tried for ever.
        """
        since, self._since = self._since, None
        if since is not None and self._clock() - since >= STEADY_S:
            self._ends = 0
        self._ends += 1
        if self._attempts is not None and not self._ever and (lasting or self._ends >= self._attempts):
            return None
        longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self._ends - 1, 16))
        return longest * (0.5 + self._random() / 2)
