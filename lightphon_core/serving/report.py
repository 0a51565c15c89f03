"""What is told of an answer, and to whom: its cost and who gave it to the client, one row to the books, one line to the
log. Nothing of what was asked or answered."""

from __future__ import annotations

from lightphon_core.accounts.sessions import booked_under
from lightphon_core.money import sats
from lightphon_core.openai.chunks import usage_fields
from lightphon_core.serving.attempt import Started
from lightphon_core.serving.outcome import Outcome
from lightphon_core.types import Principal


def routing_info(started: Started) -> dict[str, object]:
    """Who answers, for the client."""
    offer = started.entry.offer
    return {
        "backend": started.entry.backend.name,
        "node": offer.node.id,
        "node_name": offer.node.name,
        "model": offer.model.id,
        "attempts": started.attempts,
        "ttft_ms": round(started.ttft_s * 1000, 1),
    }


def usage(started: Started, charged: int) -> dict[str, object]:
    """The tokens of an answer, and its cost in msat, for the client."""
    cost = {"cost_msat": charged, "cost": sats(charged), "cost_currency": "sat"}
    return usage_fields(started.meter.measured().usage) | cost


def usage_row(started: Started, principal: Principal) -> dict[str, object]:
    """What the books keep of an answer, beside what it cost."""
    measured, offer = started.meter.measured(), started.entry.offer
    return {
        "id": started.job_id,
        "account_id": principal.account_id,
        "credential_id": booked_under(principal),
        "model": offer.model.id,
        "node_id": offer.node.id,
        "owner_id": offer.node.owner,
        "prompt_tokens": measured.usage.prompt_tokens,
        "completion_tokens": measured.usage.completion_tokens,
        "ms": measured.ms,
    }


def outcome(word: str, began: float, ended: float, started: Started | None, charged: int) -> Outcome:
    """How a journey ended that took from `began` to `ended`, in monotonic seconds."""
    if started is None:
        return Outcome(word, ended - began)
    return Outcome(
        word,
        ended - began,
        model=started.entry.offer.model.id,
        ttft_s=started.meter.began + started.ttft_s - began,
        usage=started.meter.measured().usage,
        cost_msat=charged,
        tokens_per_s=started.meter.tokens_per_s(started.ttft_s),
    )


def log_fields(outcome: Outcome, started: Started | None) -> dict[str, object]:
    """The part of the line in the log that is about the answer."""
    fields: dict[str, object] = {"outcome": outcome.word, "ms": round(outcome.seconds * 1000, 1)}
    if started is None:
        return fields
    told = routing_info(started)
    return {
        **fields,
        **{name: told[name] for name in ("model", "backend", "node", "attempts", "ttft_ms")},
        "prompt_tokens": outcome.usage.prompt_tokens,
        "completion_tokens": outcome.usage.completion_tokens,
        "cost_msat": outcome.cost_msat,
    }
