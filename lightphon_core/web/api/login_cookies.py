"""The cookies that a log-in leaves: the session's, and the one by which the browser is known the next time."""

from __future__ import annotations

from litestar.datastructures import Cookie

from lightphon_core.accounts.device_cookies import DEVICE_COOKIE, SECURE_DEVICE_COOKIE
from lightphon_core.accounts.membership import Entered
from lightphon_core.accounts.sessions import COOKIE, SECURE_COOKIE
from lightphon_core.settings import Settings
from lightphon_core.web.authentication import Connection

DEVICE_PATH = "/api/account/login"
DEVICE_LIFETIME_S = 365 * 86_400


def login_cookies(entered: Entered, settings: Settings) -> list[Cookie]:
    """Of somebody who is logged in now."""
    https = settings.server.behind_https
    device = Cookie(
        _device_name(settings),
        value=entered.device_cookie,
        path=DEVICE_PATH,
        max_age=DEVICE_LIFETIME_S,
        httponly=True,
        samesite="strict",
        secure=https,
    )
    return [_session_cookie(entered.token, settings, max_age_s=settings.accounts.session_lifetime_s), device]


def logout_cookies(settings: Settings) -> list[Cookie]:
    """Of somebody who was. The browser is known still: that is what the other cookie is for."""
    return [_session_cookie("", settings, max_age_s=0)]


def device_cookie(connection: Connection, settings: Settings) -> str | None:
    """What a browser shows of earlier log-ins."""
    return connection.cookies.get(_device_name(settings))


def _session_cookie(token: str, settings: Settings, *, max_age_s: int) -> Cookie:
    https = settings.server.behind_https
    name = SECURE_COOKIE if https else COOKIE
    return Cookie(name, value=token, path="/", max_age=max_age_s, httponly=True, samesite="lax", secure=https)


def _device_name(settings: Settings) -> str:
    return SECURE_DEVICE_COOKIE if settings.server.behind_https else DEVICE_COOKIE
