"""Whether a request may begin: the limits of its key and of its account, counted before anything is done for it."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field

from lightphon_core.accounts.limits import Grant, Limiter, Room
from lightphon_core.accounts.rates import Draw, Rate
from lightphon_core.types import Principal, RateLimits, Standing

TOKENS = "tokens"


@define(eq=False)
class Admission:
    """A request that may begin. `standings` are what is left of its limits a minute, itself counted."""

    _limiter: Limiter
    _grant: Grant | None
    _over: bool = field(default=False, init=False)

    @property
    def standings(self) -> Sequence[Standing]:
        return () if self._grant is None else self._grant.standings

    def end(self, tokens: int = 0) -> None:
        """The request is over, and took so many tokens, prompt and answer; none where it failed. What is said first
        counts."""
        if self._grant is None or self._over:
            return
        self._over = True
        guesses = [draw.rate for draw in self._grant.draws if draw.rate.unit == TOKENS]
        self._limiter.over(self._grant, *(Draw(rate, tokens) for rate in guesses))


async def admit(limiter: Limiter, principal: Principal, of_account: RateLimits, prompt_tokens: int) -> Admission:
    """Count the request, the tokens of its prompt and its place, under its key and under its account; or nothing.

    Where neither has a limit nothing is counted anywhere. `prompt_tokens` is an estimate until the request ends; there
    must be room for one in any case.

    Raises:
        RateLimited: a limit refuses it.
        StorageUnavailable: nobody can say.
    """
    draws: list[Draw] = []
    rooms: list[Room] = []
    for name, whose, limits in (
        (f"key:{principal.credential_id}", "this key", principal.limits),
        (f"account:{principal.account_id}", "this account", of_account),
    ):
        if limits.requests_per_minute is not None:
            draws.append(Draw(Rate(name, "requests", limits.requests_per_minute, whose)))
        if limits.tokens_per_minute is not None:
            draws.append(Draw(Rate(name, TOKENS, limits.tokens_per_minute, whose), max(1, prompt_tokens)))
        if limits.concurrent_requests is not None:
            rooms.append(Room(name, "requests", limits.concurrent_requests, whose))
    grant = await limiter.admit(draws, rooms) if draws or rooms else None
    return Admission(limiter, grant)
