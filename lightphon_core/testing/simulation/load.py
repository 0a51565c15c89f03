"""Who asks for what, and when: Poisson arrivals of conversations, from accounts that differ in size."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import frozen

from lightphon_core.testing.simulation.node import Work
from lightphon_core.testing.simulation.world import World
from lightphon_core.types import Capability, Needs

ACCOUNTS = 12
AUTO_SHARE = 0.5
"""Share of the conversations that leave the model to the gateway."""
GOES_ON = 0.6
"""Share of the answers that are followed by a next turn, up to `MOST_TURNS`."""
MOST_TURNS = 4
THINKING_S = 8.0
"""Mean time until somebody has read an answer and asks again."""
MEAN_ANSWER_TOKENS = 180.0
MEAN_PROMPT_TOKENS = 900.0
"""Both over all turns, roughly: what the utilisation is reckoned with."""
UNDERESTIMATE = 4
"""By how much the gateway's estimate of a prompt's tokens is too low (see `openai/request.py`)."""
MEAN_TURNS = sum(GOES_ON**turn for turn in range(MOST_TURNS))


@frozen
class Turn:
    """One request. `work` is what answering it takes; `thinking_s` passes before the next turn, where there is one."""

    account: str
    needs: Needs
    work: Work
    thinking_s: float


@frozen
class Conversation:
    """Turns that go on from one another; the first is asked at `begins_at`."""

    begins_at: float
    turns: Sequence[Turn]


def draw_load(seed: int, world: World, *, utilisation: float) -> Iterator[Conversation]:
    """The conversations of one simulation, in order of time. `utilisation` is the share of the world's capacity that
    they ask for, if all are answered."""
    rng = random.Random(f"load {seed}")  # noqa: S311 - a simulation
    rate = utilisation * world.capacity(MEAN_ANSWER_TOKENS, MEAN_PROMPT_TOKENS) / MEAN_TURNS
    shares = _shares_of_models(world)
    number, now = 0, rng.expovariate(rate)
    while now < world.duration_s:
        yield Conversation(now, _turns(seed, number, shares))
        number, now = number + 1, now + rng.expovariate(rate)


def _shares_of_models(world: World) -> Counter[str]:
    """Models are asked for as often as there are tokens to be had of them: what is slow to serve is asked for less."""
    shares: Counter[str] = Counter()
    for plan in world.nodes:
        shares[plan.offer.model.id] += round(plan.offer.slots * plan.tokens_per_s)
    return shares


def _turns(seed: int, number: int, shares: Counter[str]) -> list[Turn]:
    """Drawn from the conversation's own number, so that they do not depend on what happened before."""
    rng = random.Random(f"conversation {seed} {number}")  # noqa: S311 - a simulation
    # A few accounts ask for most of it.
    account = f"account-{min(int(rng.paretovariate(0.8)), ACCOUNTS)}"
    model = None if rng.random() < AUTO_SHARE else rng.choices(list(shares), list(shares.values()))[0]
    turns: list[Turn] = []
    prompt = int(min(6000.0, rng.lognormvariate(6.0, 0.9)))
    while True:
        answer = int(min(1000.0, max(8.0, rng.lognormvariate(4.9, 0.7))))
        needs = Needs(
            "/v1/chat/completions",
            model,
            frozenset({Capability.CHAT}),
            prompt_tokens=prompt // UNDERESTIMATE,
            session=f"conversation-{number}",
        )
        luck = random.Random(f"luck {seed} {number} {len(turns)}")  # noqa: S311 - a simulation
        turns.append(Turn(account, needs, Work(number, prompt, answer, luck), rng.expovariate(1 / THINKING_S)))
        if len(turns) == MOST_TURNS or rng.random() >= GOES_ON:
            return turns
        prompt += answer + rng.randint(10, 200)
