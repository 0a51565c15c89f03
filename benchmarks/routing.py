"""How long it takes to rank the offers for one request, among thousands, while they get busy and free.

    uv run python benchmarks/routing.py [--offers N] [--rounds N] [--json]

A round is one request; before each, some offers' loads change, some answers are measured, and an answer's slot comes
free. The plain way scores every offer that fits; the two take turns. "Rebuild" is what the first request pays after one
node's offers have changed.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

import click
from attrs import evolve, frozen

from lightphon_core import (
    Backend,
    Capability,
    Filters,
    Focus,
    Job,
    Load,
    Model,
    Needs,
    Node,
    Offer,
    Price,
    PriceInForce,
    PriceSource,
    Stats,
)
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.expected import expected_msat
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.presets import DEFAULT_WEIGHTS
from lightphon_core.routing.router import Router, Weighted
from lightphon_core.routing.scorers.plugin import SCORERS
from lightphon_core.routing.scoring import Panel

CHAT = frozenset({Capability.CHAT})
PER_NODE = 20
PLAIN_EVERY = 20
"""Rounds for each one that is also ranked the plain way."""


class Fleet(Backend):
    """Nodes with `PER_NODE` models each, whose loads change all the time."""

    name = "fleet"

    def __init__(self, offers: int, rng: random.Random) -> None:
        self._rng = rng
        makers = ("qwen", "meta", "mistral", "google", "deepseek")
        self._models = [
            Model(
                f"{makers[number % 5]}/model-{number}",
                CHAT | ({Capability.TOOLS} if number % 2 else frozenset()),
                context_length=4096 << (number % 6),
                maker=makers[number % 5],
                params_b=round(rng.lognormvariate(2, 1), 1),
                quantization=("Q4_K_M", "Q8_0")[number % 2],
            )
            for number in range(300)
        ]
        self.nodes_offers = [self.node(number) for number in range(offers // PER_NODE)]
        self._offers = tuple(offer for offers in self.nodes_offers for offer in offers)
        self.loads: dict[str, Load] = {}

    def node(self, number: int) -> list[Offer]:
        """The offers of one node."""
        price = Price(per_minute=self._rng.choice((0, 500, 1000, 2000)))
        node = Node(f"node-{number}", f"node-{number}")
        return [
            Offer(f"{node.id}/{model.id}", model, node, self._rng.choice((1, 2, 4, 8)), price)
            for model in self._rng.sample(self._models, PER_NODE)
        ]

    def replace(self, number: int) -> None:
        """One node comes back with other models."""
        self.nodes_offers[number] = self.node(number)
        self._offers = tuple(offer for offers in self.nodes_offers for offer in offers)

    def offers(self) -> Sequence[Offer]:
        return self._offers

    def load(self) -> Mapping[str, Load]:
        return self.loads

    def fill(self, *, everything: bool) -> None:
        """Half of the slots are taken, or all."""
        for offer in self._offers:
            self.loads[offer.id] = Load(busy=offer.slots if everything else self._rng.randint(0, offer.slots))

    def change(self, number: int, *, everything: bool) -> None:
        """What a heartbeat or two do."""
        for offer in self._rng.choices(self._offers, k=number):
            self.loads[offer.id] = Load(busy=offer.slots if everything else self._rng.randint(0, offer.slots))

    def serve(self, job: Job) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError  # requests are ranked here, and sent nowhere


@frozen
class Result:
    """Of one kind of request: milliseconds to rank, and by how much the plain way takes longer."""

    case: str
    p50_ms: float
    p99_ms: float
    plain_p50_ms: float

    @property
    def ratio(self) -> float:
        return self.plain_p50_ms / self.p50_ms


def price(offer: Offer) -> PriceInForce:
    """What its node asks."""
    return PriceInForce(offer.price or Price(), PriceSource.NODE)


def plain(catalogue: Catalogue, panel: Panel, seen: Observations, needs: Needs) -> None:
    """Look at every offer, and score each that fits."""
    filters = needs.filters
    weights = panel.weights(needs)
    ranked = []
    for entry in catalogue.entries():
        model = entry.offer.model
        if needs.model not in (None, model.id) or not needs.capabilities <= model.capabilities:
            continue
        if filters.providers is not None and model.maker not in filters.providers:
            continue
        if filters.min_params_b is not None and (model.params_b or 0) < filters.min_params_b:
            continue
        stats = seen.stats(entry.key, entry.load())
        cost = expected_msat(price(entry.offer).price, needs, stats.ttft_s, stats.tokens_per_s)
        known = Stats(stats.load, stats.ttft_s, stats.tokens_per_s, stats.failures, stats.answers, expected_msat=cost)
        ranked.append((-panel.score(weights, entry.offer, needs, known)[0], entry.key))
    ranked.sort()


def took_ms(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def measure(offers: int, rounds: int) -> tuple[list[Result], dict[str, float]]:
    """A result for each kind of request, and what is paid once, in milliseconds."""
    rng = random.Random(1)  # the same fleet each time
    fleet = Fleet(offers, rng)
    catalogue = Catalogue([fleet], time.time)
    seen = Observations(time.monotonic)
    weighted = [Weighted(scorer, DEFAULT_WEIGHTS[scorer.name]) for scorer in SCORERS]
    router, panel = Router(catalogue, weighted, seen, price), Panel(weighted)
    once = {"first reading": took_ms(catalogue.refresh)}
    keys = [entry.key for entry in catalogue.entries()]
    for key in rng.sample(keys, len(keys) // 2):
        seen.answered(key, ttft_s=rng.lognormvariate(0, 1), tokens=100, seconds=100 / rng.lognormvariate(3, 1))
    auto = Needs("/v1/chat/completions", None, CHAT, prompt_tokens=250)
    named = evolve(auto, model=catalogue.models()[0].model.id)
    selective = evolve(auto, filters=Filters(providers=frozenset({"qwen"}), min_params_b=20.0))
    cases = {
        "auto": auto,
        "auto:fast": evolve(auto, focus=Focus.FAST),
        "a named model": named,
        "a selective filter": selective,
        "at most 2 sats": evolve(auto, filters=Filters(max_price_msat=2_000)),
        "all busy": auto,
    }
    once["first request of a kind"] = took_ms(lambda: router.rank(auto))
    once["first request with another filter"] = took_ms(lambda: router.rank(selective))
    results = []
    for case, needs in cases.items():
        everything = case == "all busy"
        fleet.fill(everything=everything)
        times, plainly = [], []
        for turn in range(rounds):
            fleet.change(20, everything=everything)
            router.freed(rng.choice(keys))
            seen.answered(rng.choice(keys), ttft_s=1.0, tokens=100, seconds=5.0)
            times.append(took_ms(lambda needs=needs: router.rank(needs)))  # type: ignore[misc]
            if turn % PLAIN_EVERY == 0:
                plainly.append(took_ms(lambda needs=needs: plain(catalogue, panel, seen, needs)))  # type: ignore[misc]
        p99 = statistics.quantiles(times, n=100)[-1]
        results.append(Result(case, statistics.median(times), p99, statistics.median(plainly)))
    once["question of every offer (consider)"] = took_ms(lambda: router.consider(auto))
    rebuilt = []
    for number in range(20):
        fleet.replace(number)
        catalogue.invalidate()
        rebuilt.append(took_ms(lambda: router.rank(auto)))
    once["request after one node's change"] = statistics.median(rebuilt)
    return results, once


@click.command()
@click.option("--offers", default=10_000, show_default=True, type=click.IntRange(100), help="How many there are.")
@click.option("--rounds", default=1_000, show_default=True, type=click.IntRange(100), help="Requests of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(offers: int, rounds: int, as_json: bool) -> None:
    """Measure how long ranking takes."""
    results, once = measure(offers, rounds)
    if as_json:
        machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        shown = [
            {"case": each.case, "p50_ms": each.p50_ms, "p99_ms": each.p99_ms, "plain_p50_ms": each.plain_p50_ms}
            for each in results
        ]
        click.echo(json.dumps({"machine": machine, "offers": offers, "results": shown, "once_ms": once}))
        return
    click.echo(f"{'':<20} {'p50 ms':>8} {'p99 ms':>8} {'plain p50':>10} {'ratio':>7}")
    for each in results:
        click.echo(
            f"{each.case:<20} {each.p50_ms:>8.3f} {each.p99_ms:>8.3f} {each.plain_p50_ms:>10.2f} {each.ratio:>6.1f}x"
        )
    for what, milliseconds in once.items():
        click.echo(f"{what}: {milliseconds:.2f} ms")


if __name__ == "__main__":
    main()
