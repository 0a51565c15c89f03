"""What browsers are told to keep to on our pages. Pure.

Nothing is loaded from anywhere else, no script or style stands in a page, nobody may frame us, and no script may make
HTML out of text but by the two policies named here (https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

POLICIES: Final = "lightphon dompurify"
"""Who may make HTML: assets/js/live.js, of our own server's pages, and DOMPurify, of what it has cleaned."""
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        f"trusted-types {POLICIES}",
    )
)
PAGE_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cache-control": "no-store",
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
        "referrer-policy": "same-origin",
        # Or browsers would look up the hosts of links before anybody follows them, those in a model's answer too.
        "x-dns-prefetch-control": "off",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
)
"""The headers of every page."""
HSTS: Final = "max-age=31536000"
"""Where public_url is https: come back by https alone, for a year. Other names below ours are not ours to bind."""


def page_headers(*, https: bool) -> dict[str, str]:
    """The headers of a page."""
    return {**PAGE_HEADERS, "strict-transport-security": HSTS} if https else dict(PAGE_HEADERS)
