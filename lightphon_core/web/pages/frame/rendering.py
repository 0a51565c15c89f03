"""Templates to pages: Jinja, with everything escaped and nothing undefined, and what all pages show."""

from __future__ import annotations

from typing import Any, Final

from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import State

import lightphon_core
from lightphon_core.settings import Settings
from lightphon_core.web import pages
from lightphon_core.web.api.origin import origin_of
from lightphon_core.web.pages.frame.assets import Assets
from lightphon_core.web.pages.frame.formats import (
    at_a_glance,
    in_sats,
    shortened,
    shown_change,
    shown_day,
    shown_moment,
    shown_number,
    shown_sats,
)
from lightphon_core.web.pages.frame.security import page_headers
from lightphon_core.web.pages.frame.visitors import Visitor

THEMES: Final = ("light", "dark")
THEME_COOKIE: Final = "lightphon_theme"

Asked = Request[None, None, State]


def environment(of_plugins: BaseLoader | None = None) -> Environment:
    """Where the templates are, and what each of them may use. No plugin's stands in for one of ours."""
    own = PackageLoader(pages.__name__)
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
        "in_sats": in_sats,
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
