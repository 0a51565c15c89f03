"""/usage: what an account used by day, model and key; /usage.csv: the same to take along."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Final

from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.errors import InvalidRequest
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.usage import DIMENSIONS, used_by
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.security import page_headers
from lightphon_core.web.pages.frame.visitors import Visitor
from lightphon_core.web.pages.usage import charts
from lightphon_core.web.pages.usage.csv_file import as_csv
from lightphon_core.web.pages.usage.report import MEASURES, read_report
from lightphon_core.web.pages.usage.span import LENGTHS, Span, span_of

CSV_ROWS: Final = 50_000
"""The most that a file has."""

Length = Annotated[str | None, QueryParameter(name="days", description="So many days up to today: 7, 30 or 90.")]
Day = Annotated[str | None, QueryParameter(description="A day, such as 2026-01-31.")]


@get("/usage", name="usage-page")
async def usage(
    request: Asked,
    visitor: Given[Visitor],
    gateway: Given[Gateway],
    database: Given[Database],
    length: Length = None,
    first: Day = None,
    last: Day = None,
    of: Annotated[str, QueryParameter(description="What the chart shows: cost, answers or tokens.")] = "cost",
) -> Response[str]:
    """The page."""
    today = _today(gateway)
    span = span_of(length, first, last, today=today)
    measure = of if of in MEASURES else "cost"
    report = await database.read(partial(read_report, account=visitor.account.id, span=span, measure=MEASURES[measure]))
    return page(
        request,
        "usage.html",
        visitor,
        span=span,
        lengths=LENGTHS,
        today=today,
        measure=measure,
        measures=MEASURES,
        report=report,
        charts=charts,
        csv_rows=CSV_ROWS,
    )


@get("/usage.csv", name="usage-csv")
async def usage_csv(
    visitor: Given[Visitor],
    gateway: Given[Gateway],
    database: Given[Database],
    settings: Given[Settings],
    length: Length = None,
    first: Day = None,
    last: Day = None,
) -> Response[str]:
    """The same days by day, model and key. Where there are more rows than fit, the file's name says so."""
    span = span_of(length, first, last, today=_today(gateway))
    if span.fault:
        raise InvalidRequest(span.fault, param="first")
    text, truncated = await database.read(partial(_csv, account=visitor.account.id, span=span))
    name = f"lightphon-usage-{span.first}-{span.last}{'-truncated' if truncated else ''}.csv"
    headers = {
        **page_headers(https=settings.server.behind_https),
        "content-disposition": f'attachment; filename="{name}"',
    }
    return Response(text, headers=headers, media_type="text/csv")


def _csv(connection: Connection, account: str, span: Span) -> tuple[str, bool]:
    every = frozenset(DIMENSIONS.values())
    used = used_by(connection, account, first=span.first, last=span.last, by=every, most=CSV_ROWS)
    return as_csv(used.data), used.truncated


def _today(gateway: Gateway) -> date:
    return datetime.fromtimestamp(gateway.clock.now(), UTC).date()


ROUTES = [usage, usage_csv]
