"""/login and /register, and /app.html, where the first page used to be."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Redirect

from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor, way_back

Next = Annotated[str | None, QueryParameter(name="next", description="Where to go afterwards.")]


@get("/login", name="login-page")
async def login(request: Asked, anybody: Given[Visitor | None], came_for: Next = None) -> Response[str] | Redirect:
    """Log in. Who is logged in already goes on."""
    then = way_back(came_for)
    if anybody is not None:
        return Redirect(then, status_code=303)
    return page(request, "login.html", None, then=then)


@get("/register", name="register-page")
async def register(
    request: Asked,
    anybody: Given[Visitor | None],
    invite: Annotated[str | None, QueryParameter(description="The code of an invitation.")] = None,
) -> Response[str] | Redirect:
    """A new account, or why there can be none."""
    if anybody is not None:
        return Redirect("/", status_code=303)
    return page(request, "register.html", None, invite=invite or "")


@get("/app.html", name="old-first-page")
async def moved() -> Redirect:
    """Where the API guide sends people."""
    return Redirect("/", status_code=308)


ROUTES = [login, register, moved]
