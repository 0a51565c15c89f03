"""The router against simpler ways of choosing, on simulated nodes: see benchmarks/README.md.

    uv run python benchmarks/simulation.py

Writes results/simulation.md and results/simulation.svg beside itself. The same arguments give the same files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bars import Panel, picture

from lightphon_core.testing.simulation import (
    CarefulLeastBusy,
    Entrant,
    Figures,
    LeastBusy,
    Random,
    RoundRobin,
    Routed,
    draw_world,
    simulate,
)

ENTRANTS: Mapping[str, Entrant] = {
    "random": Random,
    "round-robin": RoundRobin,
    "least-busy": LeastBusy,
    "least-busy + breakers": CarefulLeastBusy,
    "LightPhon": Routed,
}
LOADS = {"medium load (50 %)": 0.5, "high load (80 %)": 0.8, "overload (120 %)": 1.2}
SEEDS = [100, 101, 102]
"""None of those that weights were tried with."""
RESULTS = Path(__file__).parent / "results"

Results = Mapping[str, Mapping[str, Figures]]


def measure(nodes: int, seconds: float, seeds: Sequence[int]) -> Results:
    """By load and contestant, the mean of each figure over the seeds."""
    results: dict[str, dict[str, Figures]] = {}
    for load, utilisation in LOADS.items():
        for name, entrant in ENTRANTS.items():
            found = [
                simulate(draw_world(seed, nodes=nodes, duration_s=seconds), entrant, seed=seed, utilisation=utilisation)
                for seed in seeds
            ]
            results.setdefault(load, {})[name] = mean = mean_of(found)
            sys.stderr.write(f"{load}, {name}: {mean}\n")
    return results


def mean_of(found: Sequence[Figures]) -> Figures:
    """Each figure's mean; `requests` is the sum."""

    def mean(name: str) -> float:
        return float(sum(getattr(each, name) for each in found)) / len(found)

    return Figures(
        requests=sum(each.requests for each in found),
        goodput=mean("goodput"),
        ttft_p50_s=mean("ttft_p50_s"),
        ttft_p99_s=mean("ttft_p99_s"),
        answer_s=mean("answer_s"),
        failed=mean("failed"),
        attempts=mean("attempts"),
        returned=mean("returned"),
    )


def table(results: Results) -> str:
    """Markdown."""
    lines = [
        "| load | chosen by | requests | answers/s | TTFT p50 s | TTFT p99 s | failed % | attempts | back to node % |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {load} | {name} | {each.requests:,} | {each.goodput:.1f} | {each.ttft_p50_s:.2f} | {each.ttft_p99_s:.1f} "
        f"| {100 * each.failed:.2f} | {each.attempts:.2f} | {100 * each.returned:.0f} |"
        for load, row in results.items()
        for name, each in row.items()
    ]
    return "\n".join(lines) + "\n"


def drawing(results: Results, nodes: int) -> str:
    """SVG."""
    panels = [
        Panel(
            "99 of 100 first tokens came within",
            "seconds (less is better)",
            {load: {name: each.ttft_p99_s for name, each in row.items()} for load, row in results.items()},
            digits=1,
        ),
        Panel(
            "requests that failed",
            "% (less is better)",
            {load: {name: 100 * each.failed for name, each in row.items()} for load, row in results.items()},
            digits=2,
        ),
    ]
    return picture(f"Choosing among {nodes} simulated nodes, 30 % of them faulty", panels, list(ENTRANTS))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120.0, help="of virtual time in which clients come")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = measure(arguments.nodes, arguments.seconds, arguments.seeds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "simulation.md").write_text(table(results), encoding="utf-8")
    (arguments.out / "simulation.svg").write_text(drawing(results, arguments.nodes), encoding="utf-8")
    sys.stdout.write(table(results))


if __name__ == "__main__":
    main()
