"""How often, how much and how many at once: the one door to everything that is limited."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from attrs import evolve, frozen

from lightphon_core.accounts.rates import Draw, Rate, counted, hashed
from lightphon_core.types import Standing


@frozen
class Room:
    """How many may be under way at once: `places` of `unit` for `whose`; all three as in `Rate`."""

    name: str
    unit: str
    places: int
    whose: str

    def __str__(self) -> str:
        return f"{counted(self.places, self.unit)} at once for {self.whose}"

    @property
    def key(self) -> str:
        """As it is kept."""
        return hashed(f"{self.unit} of {self.name}")


@frozen
class Grant:
    """What was admitted, at `at`, in microseconds of the limiter's clock. `standings` are those of the rates, in their
    order."""

    id: str
    draws: tuple[Draw, ...]
    rooms: tuple[Room, ...]
    at: int
    standings: tuple[Standing, ...]


class Limiter(ABC):
    """Counts. One per application, used on one event loop.

    Several gateways may share what an implementation counts in. Then it must keep: an admission is one step that no
    other comes between; all times are of one clock; what is over is counted once, sooner or later, while the gateway
    that says so lives; and what a gateway holds that has died comes free by itself, after a time that a living one
    outlasts.
    """

    @abstractmethod
    async def admit(self, draws: Sequence[Draw], rooms: Sequence[Room] = ()) -> Grant:
        """Count all draws and take a place in each room; or nothing at all. A caller that is cancelled has taken
        nothing. Whoever is admitted says later that it is over, if it took a place or drew what it may not use.

        Raises:
            RateLimited: a limit refuses it. The message names it.
            StorageUnavailable: what it counts in does not answer.
        """

    @abstractmethod
    def over(self, grant: Grant, *used: Draw) -> None:
        """Its places are free now. Each of `used` stands for the draw of the same rate, which was a guess: what is more
        than that is drawn, be there room or not, and what is less is given back. Say it once.

        It is only asked for here, and done whatever becomes of the caller.
        """

    @abstractmethod
    async def forget(self, rate: Rate) -> None:
        """Everything that is owed of this rate is forgiven. Raises `StorageUnavailable`."""

    @abstractmethod
    async def keep(self) -> None:
        """Do in the background what must be done, until cancelled."""

    @abstractmethod
    async def close(self) -> None:
        """Wait until all that was asked for is done."""


def unused(grant: Grant) -> tuple[Draw, ...]:
    """The draws of a grant that nothing came of."""
    return tuple(evolve(draw, amount=0) for draw in grant.draws)
