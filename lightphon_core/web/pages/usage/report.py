"""What the page of usage shows, summed up: totals, a chart by day, and groups with their shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final

from attrs import astuple, frozen

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.ledger.usage import SUMS_AT_ONCE, Dimension, UsageSum, usage_of
from lightphon_core.storage.engine import Connection
from lightphon_core.web.pages.usage.charts import MOST_SERIES, Chart, stacked
from lightphon_core.web.pages.usage.span import Span
from lightphon_core.web.pages.wallet.explanations import key_name

Measure = Callable[[UsageSum], int]
MEASURES: Final[Mapping[str, Measure]] = {
    "cost": lambda each: each.cost_msat,
    "answers": lambda each: each.requests,
    "tokens": lambda each: each.prompt_tokens + each.completion_tokens,
}
OTHERS: Final = "All others"
_NOTHING: Final = UsageSum(None, None, None, 0, 0, 0, 0, 0)


@frozen
class Group:
    """The answers of one model or key. `share` of the whole is 0 to 1; `series` is its colour in the chart, 0 for
    none."""

    name: str
    sums: UsageSum
    share: float
    series: int = 0


@frozen
class Report:
    """What is on the page. `days` has every day, the first one first. `names` are those of the chart's series;
    `truncated`: there are more models or keys than are listed."""

    total: UsageSum
    days: Sequence[UsageSum]
    models: Sequence[Group]
    keys: Sequence[Group]
    chart: Chart
    names: Sequence[str]
    truncated: bool


def read_report(connection: Connection, account: str, span: Span, measure: Measure) -> Report:
    """What the account of this id used in these days. The chart shows the models that come to most by `measure`, and
    all others together."""

    def ask(*by: Dimension, models: Sequence[str] | None = None) -> list[UsageSum]:
        most = SUMS_AT_ONCE + 1 if models is None else len(span.days) * MOST_SERIES
        first, last = span.first, span.last
        return usage_of(connection, account, first=first, last=last, by=frozenset(by), limit=most, models=models)

    by_model, by_key, by_day = ask("model"), ask("key"), ask("day")
    total = _added(by_day)
    listed = sorted(by_model[:SUMS_AT_ONCE], key=measure, reverse=True)
    charted = listed if len(by_model) <= MOST_SERIES else listed[: MOST_SERIES - 1]
    names = [each.model or "" for each in charted]
    found = {(each.day, each.model): measure(each) for each in ask("day", "model", models=names)}
    known = {each.day: each for each in by_day}
    days = [known.get(day, _of_day(day)) for day in span.days]
    series = [[found.get((day, name), 0) for day in span.days] for name in names]
    if len(charted) < len(by_model):
        rest = [measure(each) - sum(values) for each, *values in zip(days, *series, strict=True)]
        series, names = [*series, rest], [*names, OTHERS]
    whole = measure(total)
    labels = {each.id: each.terms.name or each.hint for each in list_credentials(connection, account_id=account)}
    return Report(
        total,
        days,
        [
            Group(each.model or "", each, _share(measure(each), whole), min(place, len(names)))
            for place, each in enumerate(listed, start=1)
        ],
        _by_key(by_key[:SUMS_AT_ONCE], labels, measure, whole),
        stacked(span.days, series),
        names,
        max(len(by_model), len(by_key)) > SUMS_AT_ONCE,
    )


def _by_key(sums: Sequence[UsageSum], labels: Mapping[str, str], measure: Measure, whole: int) -> list[Group]:
    return [
        Group(key_name(each.credential_id or "", labels), each, _share(measure(each), whole))
        for each in sorted(sums, key=measure, reverse=True)
    ]


def _added(sums: Sequence[UsageSum]) -> UsageSum:
    if not sums:
        return _NOTHING
    counted = zip(*(astuple(each)[3:] for each in sums), strict=True)
    return UsageSum(None, None, None, *(sum(values) for values in counted))


def _of_day(day: date) -> UsageSum:
    return UsageSum(day, None, None, 0, 0, 0, 0, 0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
