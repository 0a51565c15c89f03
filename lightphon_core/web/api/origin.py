"""Whether a request that changes something came from a page of our own. Pure.

Browsers say in `Origin` whose page sends a POST or DELETE, and no page can forge it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from lightphon_core.errors import PermissionDenied

_DEFAULT_PORT = {"http": ":80", "https": ":443"}


def origin_of(public_url: str | None, host: str | None, scheme: str = "http") -> str | None:
    """Our own origin: that of `public_url`, else the `Host` that was asked for, by the scheme it was asked over."""
    if public_url is not None:
        parts = urlsplit(public_url)
        scheme, host = parts.scheme, parts.netloc
    return None if host is None else f"{scheme}://{host.lower().removesuffix(_DEFAULT_PORT[scheme])}"


def check_origin(origin: str | None, own: str | None, *, cookie: bool) -> None:
    """Pass a request on that may have come from our own page. One that brings a cookie must say so itself; one without
    is a program's, where it names no origin at all.

    Raises:
        PermissionDenied: it came from elsewhere, or might have.
    """
    if origin is None and not cookie:
        return
    if origin is None or own is None or origin.lower() != own:
        raise PermissionDenied(
            "This request came from another site's page, or does not say from whose. If it came from our own, "
            "the operator has to set public_url.",
            code="wrong_origin",
        )
