"""Who asks: what a connection shows, and who it turns out to act for."""

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from lightphon_core.types.requests import Filters


class Scope(StrEnum):
    """What a credential may be used for.

    INFERENCE also reads the wallet and opens deposits. ACCOUNT is to see one's own account, MANAGE to change what it
    has (keys, payouts): a session has the latter only while its password is recent. ADMIN is to see and change what is
    everybody's; only an administrator's credentials have it, and changing takes MANAGE too.
    """

    INFERENCE = "inference"
    NODE = "node"
    ACCOUNT = "account"
    MANAGE = "manage"
    ADMIN = "admin"


@frozen
class Credentials:
    """What a connection brought along to say who it is. Header names are lower-case. Never logged: repr hides it."""

    headers: Mapping[str, str] = field(factory=dict, repr=False)
    cookies: Mapping[str, str] = field(factory=dict, repr=False)
    path_token: str | None = field(default=None, repr=False)
    client: str | None = None

    @property
    def bearer(self) -> str | None:
        """The token of an `Authorization: Bearer` header, or None."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    @property
    def are_none(self) -> bool:
        """Whether nothing was sent to say who it is: no token in the path, and no Authorization header, or one that has
        no more than its scheme, as clients send it whose key is empty."""
        return self.path_token is None and self.headers.get("authorization", "").strip().lower() in ("", "bearer")


@frozen
class RateLimits:
    """How much may be asked for: in a minute, and at once. Tokens are those of prompts and answers. None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


@frozen
class Standing:
    """How much is left of a limit a minute on `unit` ("requests", "tokens"): `remaining` of `limit` now, and all of it
    in `reset_s` seconds, if no more is asked for."""

    unit: str
    limit: int
    remaining: int
    reset_s: float


@frozen
class Principal:
    """Who a request acts for. `credential_id` is the key, token or session that was shown, not its secret.

    `models` are the ids of those it may use, None for all. `limits` are its own; its account's hold beside them.
    `expires_at` is when it ends, in microseconds since 1970, UTC; None: nobody has said. `filters` hold for its
    requests where they say nothing themselves. `used_by` is the kind of gateway that asks with it ("openclaw"): what is
    behind one of that kind never serves it, or a request could go round in a circle.
    """

    account_id: str
    credential_id: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None = None
    limits: RateLimits = field(factory=RateLimits)
    expires_at: int | None = None
    filters: Filters = field(factory=Filters)
    used_by: str | None = None
