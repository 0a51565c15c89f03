"""Addresses of servers, as operators write them."""

from urllib.parse import urlsplit, urlunsplit


def problem_of(address: str) -> str | None:
    """Why this is no address of a server, in words that do not repeat it; None if it is one."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a valid URL"
    if parts.scheme not in ("http", "https") or not host or not address.isprintable() or " " in address:
        return "must begin with http:// or https://, and name a host"
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        return "must have no user name, query or fragment: a key belongs in api_key"
    return None


def root_of(address: str) -> str:
    """The address without /v1 and without a slash at its end: what paths such as /v1/models are put after."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1").rstrip("/"), "", ""))
