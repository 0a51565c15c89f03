"""Templates to pages: Jinja, with everything escaped and nothing undefined, and what all pages show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import State

import lightphon_core
from lightphon_core.money import sats
from lightphon_core.settings import Settings
from lightphon_core.web.api.origin import origin_of
from lightphon_core.web.pages.assets import Assets
from lightphon_core.web.pages.security import page_headers
from lightphon_core.web.pages.visitors import Visitor

THEMES: Final = ("light", "dark")
THEME_COOKIE: Final = "lightphon_theme"
NARROW_SPACE: Final = "\u202f"
MINUS: Final = "\u2212"
SHOWN_WHOLE: Final = 32

Asked = Request[None, None, State]


def environment(of_plugins: BaseLoader | None = None) -> Environment:
    """Where the templates are, and what each of them may use. No plugin's stands in for one of ours."""
    own = PackageLoader(__package__)
    made = Environment(
        loader=own if of_plugins is None else ChoiceLoader([own, of_plugins]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    made.filters |= {
        "sats": shown_sats,
        "glance": at_a_glance,
        "signed": shown_change,
        "shortened": shortened,
        "number": shown_number,
        "day": shown_day,
        "moment": shown_moment,
    }
    return made


class Pages:
    """One per application: templates, also those `of_plugins`, and the assets that they refer to. `paths` are those of
    the application's routes, so that no link of the frame leads nowhere."""

    def __init__(self, assets: Assets, settings: Settings, of_plugins: BaseLoader | None = None) -> None:
        self.paths: frozenset[str] = frozenset()
        self._environment = environment(of_plugins)
        self._settings = settings
        self._environment.globals |= {
            "asset": assets.url,
            "has_asset": assets.has,
            "has_page": lambda path: path in self.paths,
            "version": lightphon_core.__version__,
            "registration": settings.accounts.registration,
        }

    def render(
        self, request: Asked, template: str, visitor: Visitor | None, *, status: int = 200, **values: Any
    ) -> Response[str]:
        """A page. Beside `values`, templates see `visitor`, the `path` that was asked for, `origin` (our own address,
        as people reach us) and `theme` ("light", "dark" or "", as the system has it)."""
        theme = request.cookies.get(THEME_COOKIE, "")
        text = self._environment.get_template(template).render(
            visitor=visitor,
            path=request.scope["path"],
            origin=own_origin(request, self._settings),
            theme=theme if theme in THEMES else "",
            **values,
        )
        headers = page_headers(https=self._settings.server.behind_https)
        return Response(text, status_code=status, headers=headers, media_type="text/html")


def page(request: Asked, template: str, visitor: Visitor | None, *, status: int = 200, **values: Any) -> Response[str]:
    """As `Pages.render`, by the application's own."""
    pages: Pages = request.app.state.pages
    return pages.render(request, template, visitor, status=status, **values)


def own_origin(request: Asked, settings: Settings) -> str:
    """The address of this server as its people reach it, without a slash at its end."""
    found = origin_of(settings.server.public_url, request.headers.get("host"), request.scope["scheme"])
    return found or str(request.base_url).rstrip("/")


def shown_number(value: float, places: int = 0) -> str:
    """A number for people: groups of three digits, by narrow spaces."""
    return f"{value:,.{places}f}".replace(",", NARROW_SPACE)


def shown_sats(amount: int) -> str:
    """Msat as sats for people: "1 234.5". What is below a sat keeps its digits, so nothing is rounded away."""
    whole, _, rest = sats(amount).partition(".")
    grouped = f"{int(whole):,}".replace(",", NARROW_SPACE)
    if amount < 0 and not grouped.startswith("-"):
        grouped = f"-{grouped}"
    return f"{grouped}.{rest}" if rest else grouped


def at_a_glance(amount: int) -> str:
    """Msat as sats where there is little room: whole ones, rounded down, from ten on."""
    return shown_sats(amount - amount % 1_000 if amount >= 10_000 else amount)


def shown_change(amount: int) -> str:
    """What came or went, msat as sats, with its sign: "+1 234.5"."""
    if amount == 0:
        return "0"
    return f"{'+' if amount > 0 else MINUS}{shown_sats(abs(amount))}"


def shortened(text: str) -> str:
    """The two ends of a long text, such as an invoice."""
    return text if len(text) <= SHOWN_WHOLE else f"{text[:14]}…{text[-8:]}"


def shown_day(seconds: float) -> str:
    """A time as its day, UTC: "2026-11-23"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def shown_moment(seconds: float) -> str:
    """A time, UTC, to the minute: "2026-11-23 05:30". Scripts turn it into the reader's own time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
