"""The built-in authenticators: who an API key, an agent token, a node token or a session stands for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from lightphon_core.accounts.credentials import Credential, find_by_secret
from lightphon_core.accounts.lookups import SecretLookups
from lightphon_core.accounts.secrets import Kind, is_well_formed
from lightphon_core.accounts.sessions import Session, find_session, is_token, session_token
from lightphon_core.accounts.terms import as_utc
from lightphon_core.errors import Unauthenticated
from lightphon_core.hookspecs import hookimpl
from lightphon_core.host import Clock, Host
from lightphon_core.ports import Authenticator
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import microseconds
from lightphon_core.types import Credentials, Principal, Scope


class _StoredCredentials(Authenticator):
    """Looks secrets of one kind up. Every look-up asks the database, so a revoked one is refused from then on."""

    kind: ClassVar[Kind]
    command: ClassVar[str]
    page: ClassVar[str]
    """Of the web app, where people make one without the operator."""

    def __init__(self, lookups: SecretLookups, clock: Clock) -> None:
        self._lookups = lookups
        self._clock = clock

    @abstractmethod
    def secret_of(self, credentials: Credentials) -> str | None:
        """The text that may be a secret of this kind, from where this kind belongs."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        secret = self.secret_of(credentials)
        if secret is None or not secret.startswith(self.kind.prefix):
            return None
        if not is_well_formed(self.kind, secret):
            raise Unauthenticated(f"This {self.kind.words} has a typo or was cut off. Copy the whole of it again.")
        look_up = partial(find_by_secret, kind=self.kind, secret=secret)
        return await self._lookups.principal(secret, look_up, self._principal, client=credentials.client)

    @property
    def _advice(self) -> str:
        return f"Create one with `lightphon {self.command} create`, or on the page {self.page} of this server."

    def _principal(self, found: Credential | None) -> Principal:
        words, create = self.kind.words, self._advice
        if found is None:
            raise Unauthenticated(f"This {words} is unknown here. {create}")
        if found.revoked_at is not None:
            raise Unauthenticated(f"This {words} was revoked. {create}")
        if found.blocked_at is not None:
            raise Unauthenticated(f"The account of this {words} is blocked.", code="account_blocked")
        terms, ends = found.terms, found.terms.expires_at
        if ends is not None and ends <= microseconds(self._clock.now()):
            raise Unauthenticated(f"This {words} expired at {as_utc(ends)}. {create}", code="expired_api_key")
        scopes = found.scopes if found.admin_since is not None else found.scopes - {Scope.ADMIN}
        return Principal(
            account_id=found.account_id,
            credential_id=found.id,
            scopes=scopes,
            models=terms.models,
            limits=terms.limits,
            expires_at=terms.expires_at,
            filters=terms.filters,
            used_by=terms.used_by,
        )


class ApiKeys(_StoredCredentials):
    """`Authorization: Bearer lp_...`"""

    name = "api_keys"
    kind = Kind.API_KEY
    command = "key"
    page = "/router"

    def secret_of(self, credentials: Credentials) -> str | None:
        return credentials.bearer if credentials.path_token is None else None


class AgentTokens(_StoredCredentials):
    """`/api/agent/at_.../`, whatever the Authorization header says: clients of such a URL send a dummy there."""

    name = "agent_tokens"
    kind = Kind.AGENT_TOKEN
    command = "agent-token"
    page = "/router"

    def secret_of(self, credentials: Credentials) -> str | None:
        return credentials.path_token


class NodeTokens(_StoredCredentials):
    """`Authorization: Bearer np_...`, which opens the node link and nothing else."""

    name = "node_tokens"
    kind = Kind.NODE_TOKEN
    command = "node-token"
    page = "/nodes"

    def secret_of(self, credentials: Credentials) -> str | None:
        return credentials.bearer if credentials.path_token is None else None


class Sessions(Authenticator):
    """The session cookie. The routes for inference show no authenticator any cookies, so it opens none of them."""

    name = "sessions"

    def __init__(self, lookups: SecretLookups, clock: Clock) -> None:
        self._lookups = lookups
        self._clock = clock

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        token = session_token(credentials.cookies)
        if token is None:
            return None
        now = self._clock.now()
        judge = partial(_person, now=now)
        if not is_token(token):
            return judge(None)
        look_up = partial(find_session, token=token, now=now)
        return await self._lookups.principal(token, look_up, judge, client=credentials.client)


def _person(session: Session | None, now: float) -> Principal:
    if session is None:
        raise Unauthenticated("Your session has ended. Log in again.", code="session_ended")
    if session.blocked_at is not None:
        raise Unauthenticated("Your account is blocked.", code="account_blocked")
    scopes = {Scope.ACCOUNT}
    if session.recent_until > microseconds(now):
        scopes.add(Scope.MANAGE)
    if session.admin_since is not None:
        scopes.add(Scope.ADMIN)
    return Principal(session.account_id, session.id, frozenset(scopes))


class BuiltinAuthenticators:
    """The plugin that brings them: the core builds it with the database, which no other plugin is given."""

    def __init__(self, database: Database, host: Host[None]) -> None:
        self._lookups = SecretLookups(database)
        self._clock = host.clock

    @hookimpl
    def register_authenticators(self) -> Sequence[Authenticator]:
        lookups, clock = self._lookups, self._clock
        return [
            ApiKeys(lookups, clock),
            AgentTokens(lookups, clock),
            NodeTokens(lookups, clock),
            Sessions(lookups, clock),
        ]
