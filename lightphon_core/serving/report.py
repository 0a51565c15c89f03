"""What is said of an answer: to its client, to the ledger, to the log, and to whoever counts. Nothing of what was asked
or answered is in any of it."""

from __future__ import annotations

from lightphon_core.money import sats
from lightphon_core.openai.chunks import usage_fields
from lightphon_core.serving.attempt import Started
from lightphon_core.serving.outcome import Outcome
from lightphon_core.types import Principal


def usage_of(started: Started, charged: int) -> dict[str, object]:
    """`usage` in the answer. `charged` is in msat."""
    cost = {"cost_msat": charged, "cost": sats(charged), "cost_currency": "sat"}
    return usage_fields(started.meter.measured().usage) | cost


def routing_info(started: Started) -> dict[str, object]:
    """`routing_info` in the answer: who gave it."""
    offer = started.entry.offer
    return {
        "backend": started.entry.backend.name,
        "node": offer.node.id,
        "node_name": offer.node.name,
        "model": offer.model.id,
        "attempts": started.attempts,
        "ttft_ms": round(started.ttft_s * 1000, 1),
    }


def usage_row(started: Started, principal: Principal) -> dict[str, object]:
    """The answer as a row of usage."""
    measured, offer = started.meter.measured(), started.entry.offer
    return {
        "id": started.job.id,
        "account_id": principal.account_id,
        "credential_id": principal.credential_id,
        "model": offer.model.id,
        "node_id": offer.node.id,
        "prompt_tokens": measured.usage.prompt_tokens,
        "completion_tokens": measured.usage.completion_tokens,
        "ms": measured.ms,
    }


def log_fields(started: Started, charged: int) -> dict[str, object]:
    """What the line in the log has besides who asked, and how it ended."""
    usage, offer = started.meter.measured().usage, started.entry.offer
    return {
        "model": offer.model.id,
        "backend": started.entry.backend.name,
        "node": offer.node.id,
        "attempts": started.attempts,
        "ttft_ms": round(started.ttft_s * 1000, 1),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_msat": charged,
    }


def outcome_of(word: str, started: Started | None, *, began: float, seconds: float, charged: int) -> Outcome:
    """The journey in numbers. It `began` at that monotonic time, and took so many seconds."""
    if started is None:
        return Outcome(word, seconds)
    meter = started.meter
    ttft_s = meter.began + started.ttft_s - began
    usage, speed = meter.measured().usage, meter.tokens_per_s(started.ttft_s)
    return Outcome(word, seconds, started.entry.offer.model.id, ttft_s, usage, charged, speed)
