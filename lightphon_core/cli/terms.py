"""What a credential may do, as options of a command, as JSON and as a few words."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from attrs import asdict

from lightphon_core.accounts.credentials import Credential
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import ALLOWED_SCOPES, Terms
from lightphon_core.cli.options import Command
from lightphon_core.cli.report import iso_time
from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger.budgets import Budget
from lightphon_core.ledger.periods import Period
from lightphon_core.money import parse_sats, sats
from lightphon_core.openai.route import parse_route, route_of
from lightphon_core.storage.schema import microseconds
from lightphon_core.types import Filters, RateLimits, Scope

_DURATION = re.compile(r"([0-9]{1,6})([hd])")
_SECONDS = {"h": 3_600, "d": 86_400}


def parse_expiry(text: str, now: float) -> int:
    """When something ends that is to last "30d" or "12h", or until "2027-01-01": microseconds since 1970, UTC, as a
    time without a zone is too. `now` is in seconds. Raises `ValueError`."""
    if found := _DURATION.fullmatch(text):
        return microseconds(now) + int(found[1]) * _SECONDS[found[2]] * 1_000_000
    moment = datetime.fromisoformat(text)
    return microseconds((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def parse_budget(text: str) -> tuple[Period, int]:
    """The period and the msat of "day=100", which is in sats. Raises `ValueError`."""
    period, equals, amount = text.partition("=")
    if not equals or period not in list(Period):
        raise ValueError(f"A budget is written as one of {', '.join(Period)}, = and sats: day=100.")
    return Period(period), parse_sats(amount)


def terms_options(kind: Kind) -> Callable[[Command], Command]:
    """Adds the options that this kind of credential has, and passes `terms`, and `budgets` in msat by period."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapped(
            *args: Any,
            label: str,
            expires_at: int | None,
            models: Sequence[str] = (),
            scopes: Sequence[str] = (),
            budgets: Sequence[tuple[Period, int]] = (),
            requests_per_minute: int | None = None,
            tokens_per_minute: int | None = None,
            concurrent: int | None = None,
            filters: Filters | None = None,
            used_by: str | None = None,
            **others: Any,
        ) -> Any:
            terms = Terms(
                label,
                frozenset(map(Scope, scopes)) or None,
                expires_at,
                frozenset(models) or None,
                RateLimits(requests_per_minute, tokens_per_minute, concurrent),
                filters or Filters(),
                used_by,
            )
            return command(*args, terms=terms, budgets=dict(budgets), **others)

        made: Command = wrapped
        for option in reversed(_options(kind)):
            made = option(made)
        return made

    return decorate


def terms_as_json(credential: Credential, budgets: Sequence[Budget]) -> dict[str, Any]:
    """Everything that its owner has settled about it, and how its budgets stand."""
    terms = credential.terms
    states = {budget.period: budget for budget in budgets}
    return {
        "name": terms.name,
        "scopes": sorted(credential.scopes),
        "expires_at": iso_time(terms.expires_at),
        "models": None if terms.models is None else sorted(terms.models),
        "limits": asdict(terms.limits),
        "budgets": {period.value: _as_json(states.get(period)) for period in Period},
        "route": msgspec.to_builtins(route_of(terms.filters)),
        "used_by": terms.used_by,
    }


def terms_in_words(credential: Credential, budgets: Sequence[Budget]) -> str:
    """What it is for and how much of it: "inference; models a, b; 60 requests/min; 3.5 of 100 sats a day"."""
    terms, limits = credential.terms, credential.terms.limits
    said = [", ".join(sorted(credential.scopes))]
    if terms.models is not None:
        said.append(f"models {', '.join(sorted(terms.models))}")
    if limits.requests_per_minute is not None:
        said.append(f"{limits.requests_per_minute} requests/min")
    if limits.tokens_per_minute is not None:
        said.append(f"{limits.tokens_per_minute} tokens/min")
    if limits.concurrent_requests is not None:
        said.append(f"{limits.concurrent_requests} at once")
    if (route := route_of(terms.filters)) is not None:
        said.append(f"route {msgspec.json.encode(route).decode()}")
    if terms.used_by is not None:
        said.append(f"used by {terms.used_by}")
    for budget in budgets:
        when = "in all" if budget.period is Period.TOTAL else f"a {budget.period}"
        said.append(f"{sats(budget.spent)} of {sats(budget.amount)} sats {when}")
    return "; ".join(said)


def _as_json(budget: Budget | None) -> dict[str, Any] | None:
    if budget is None:
        return None
    return {
        "amount_msat": budget.amount,
        "spent_msat": budget.spent,
        "held_msat": budget.held,
        "resets_at": iso_time(budget.resets_at),
    }


def _options(kind: Kind) -> Sequence[Callable[[Command], Command]]:
    some = click.IntRange(min=1)
    options = [
        click.option("--name", "label", default="", metavar="LABEL", help="A note to tell it from others."),
        click.option(
            "--expires",
            "expires_at",
            metavar="WHEN",
            callback=_expiry,
            help="When it ends: after 30d or 12h, or on a date such as 2027-01-01 (UTC). Never unless told.",
        ),
    ]
    if kind is not Kind.NODE_TOKEN:
        options += [
            click.option("--model", "models", multiple=True, metavar="ID", help="A model it may use; all unless told."),
            click.option(
                "--budget",
                "budgets",
                multiple=True,
                metavar="PERIOD=SATS",
                callback=_budgets,
                help="What it may spend in a day, a month (UTC) or in all: day=100, month=1000, total=5000.",
            ),
            click.option("--requests-per-minute", type=some, metavar="N", help="Requests it may make in a minute."),
            click.option("--tokens-per-minute", type=some, metavar="N", help="Tokens, of prompts and answers."),
            click.option("--concurrent", type=some, metavar="N", help="Requests it may have under way at once."),
            click.option(
                "--route",
                "filters",
                metavar="JSON",
                callback=_route,
                help="Filters for requests that say nothing themselves, such as "
                '{"providers": "meta", "max_price": 0.5}. A default, which limits nothing.',
            ),
            click.option(
                "--used-by",
                metavar="GATEWAY",
                help="The kind of gateway that asks with it, such as openclaw. Nothing behind one of that kind serves "
                "it then, or a request could go round in a circle.",
            ),
        ]
    if len(ALLOWED_SCOPES[kind]) > 1:
        words = click.Choice(sorted(scope.value for scope in ALLOWED_SCOPES[kind]))
        options.append(
            click.option("--scope", "scopes", multiple=True, type=words, help="What it is for; inference unless told.")
        )
    return options


def _expiry(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return parse_expiry(value, time.time())
    except (ValueError, OverflowError):
        raise click.BadParameter("It is written as 30d, 12h, or a date such as 2027-01-01.") from None


def _route(_: click.Context, __: click.Parameter, value: str | None) -> Filters | None:
    if value is None:
        return None
    try:
        return parse_route(value.encode())
    except InvalidRequest as error:
        raise click.BadParameter(error.message) from None


def _budgets(_: click.Context, __: click.Parameter, values: Sequence[str]) -> list[tuple[Period, int]]:
    try:
        budgets = [parse_budget(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if len(dict(budgets)) < len(budgets):
        raise click.BadParameter("Each period has one budget.")
    return budgets
