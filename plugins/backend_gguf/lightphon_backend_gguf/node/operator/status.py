"""How a node is doing, as its operator is told: a plain value, as JSON and as lines."""

from typing import Any

from attrs import asdict, frozen

from lightphon_backend_gguf.node.operator.price import price_text, sats_text
from lightphon_backend_gguf.protocol.account import EarningsMessage, PriceMessage

SET_BY = {
    "operator": "set by the server's operator",
    "account": "set in the account",
    "node": "set on this node",
    "default": "the server's default",
}


@frozen
class ModelStatus:
    """One model. `state` is "offered", "paused" or "not running". `tokens_per_s` is the speed of one answer lately.
    `price` is in force as far as the node knows; `price_set_by` None: the server has not told."""

    id: str
    state: str
    slots: int
    busy: int
    done: int
    failed: int
    refused: int
    cancelled: int
    tokens_per_s: float | None
    price: PriceMessage | None
    price_set_by: str | None


@frozen
class Status:
    """One node. `link` is the state of its connection and `link_line` the same in words. `paused` says why no new jobs
    are taken; None where they are. `earnings` are the account's, as the server last told."""

    name: str
    server: str
    link: str
    link_line: str
    paused: str | None
    max_jobs: int | None
    uptime_s: float
    models: tuple[ModelStatus, ...]
    earnings: EarningsMessage | None

    @property
    def busy(self) -> int:
        """Jobs that run now, over all models."""
        return sum(model.busy for model in self.models)


def to_json(status: Status) -> dict[str, Any]:
    """For programs: `lightphon-node status --json`. Amounts are in msat."""
    return asdict(status)


def to_lines(status: Status) -> list[str]:
    """For people."""
    limit = f", at most {status.max_jobs} at once" if status.max_jobs else ""
    lines = [
        f"{status.name} at {status.server}",
        f"  link      {status.link}: {status.link_line}",
        f"  jobs      {'paused ' + status.paused if status.paused else 'taken'}, {status.busy} running{limit}",
        f"  up        {duration_text(status.uptime_s)}",
        f"  earned    {earned_text(status.earnings)}",
    ]
    for model in status.models:
        lines += [
            f"  {model.id}: {model.state}",
            f"    slots   {model.busy} of {model.slots} busy, {speed_text(model.tokens_per_s)} tokens/s",
            f"    jobs    {_ended_text(model)}",
            f"    price   {asked_text(model)}",
        ]
    return lines


def _ended_text(model: ModelStatus) -> str:
    return f"{model.done} done, {model.failed} failed, {model.refused} refused, {model.cancelled} cancelled"


def asked_text(model: ModelStatus) -> str:
    """The price of a model in words, and whose it is."""
    if model.price is None:
        return "the server's own"
    return f"{price_text(model.price)} ({SET_BY.get(model.price_set_by or 'node', 'set by the server')})"


def earned_text(earnings: EarningsMessage | None) -> str:
    """Earnings in words."""
    if earnings is None:
        return "the server has not told"
    return (
        f"{sats_text(earnings.today)} sats today (UTC), {sats_text(earnings.total)} in all, "
        f"{sats_text(earnings.pending)} of it pending"
    )


def speed_text(tokens_per_s: float | None) -> str:
    """A speed, or a dash where none was measured."""
    return "-" if tokens_per_s is None else f"{tokens_per_s:.1f}"


def duration_text(seconds: float) -> str:
    """Seconds as 2d 3h 4m."""
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    return " ".join([f"{days}d"] * (days > 0) + [f"{hours}h"] * (minutes >= 60) + [f"{minutes % 60}m"])
