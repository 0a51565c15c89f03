"""The built-in authenticators: who an API key, an agent token, a node token or a session stands for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from lightphon_core.accounts.credentials import find_by_secret
from lightphon_core.accounts.secrets import Kind, is_well_formed
from lightphon_core.accounts.sessions import find_session, session_token
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
    scopes: ClassVar[frozenset[Scope]]
    command: ClassVar[str]

    def __init__(self, database: Database) -> None:
        self._database = database

    @abstractmethod
    def secret_of(self, credentials: Credentials) -> str | None:
        """The text that may be a secret of this kind, from where this kind belongs."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        secret = self.secret_of(credentials)
        if secret is None or not secret.startswith(self.kind.prefix):
            return None
        words = self.kind.words
        if not is_well_formed(self.kind, secret):
            raise Unauthenticated(f"This {words} has a typo or was cut off. Copy the whole of it again.")
        found = await self._database.read(partial(find_by_secret, kind=self.kind, secret=secret))
        if found is None:
            raise Unauthenticated(f"This {words} is unknown here. Create one with `lightphon {self.command} create`.")
        if found.revoked_at is not None:
            raise Unauthenticated(f"This {words} was revoked. Create one with `lightphon {self.command} create`.")
        if found.blocked_at is not None:
            raise Unauthenticated(f"The account of this {words} is blocked.", code="account_blocked")
        return Principal(found.account_id, found.id, self.scopes)


class ApiKeys(_StoredCredentials):
    """`Authorization: Bearer lp_...`"""

    name = "api_keys"
    kind = Kind.API_KEY
    scopes = frozenset({Scope.INFERENCE})
    command = "key"

    def secret_of(self, credentials: Credentials) -> str | None:
        return credentials.bearer if credentials.path_token is None else None


class AgentTokens(_StoredCredentials):
    """`/api/agent/at_.../`, whatever the Authorization header says: clients of such a URL send a dummy there."""

    name = "agent_tokens"
    kind = Kind.AGENT_TOKEN
    scopes = frozenset({Scope.INFERENCE})
    command = "agent-token"

    def secret_of(self, credentials: Credentials) -> str | None:
        return credentials.path_token


class NodeTokens(_StoredCredentials):
    """`Authorization: Bearer np_...`, which opens the node link and nothing else."""

    name = "node_tokens"
    kind = Kind.NODE_TOKEN
    scopes = frozenset({Scope.NODE})
    command = "node-token"

    def secret_of(self, credentials: Credentials) -> str | None:
        return credentials.bearer if credentials.path_token is None else None


class Sessions(Authenticator):
    """The session cookie. The routes for inference show no authenticator any cookies, so it opens none of them."""

    name = "sessions"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        token = session_token(credentials.cookies)
        if token is None:
            return None
        now = self._clock.now()
        session = await self._database.read(partial(find_session, token=token, now=now))
        if session is None:
            raise Unauthenticated("Your session has ended. Log in again.", code="session_ended")
        if session.blocked_at is not None:
            raise Unauthenticated("Your account is blocked.", code="account_blocked")
        recent = {Scope.MANAGE} if session.recent_until > microseconds(now) else set()
        return Principal(session.account_id, session.id, frozenset({Scope.ACCOUNT} | recent))


class BuiltinAuthenticators:
    """The plugin that brings them: the core builds it with the database, which no other plugin is given."""

    def __init__(self, database: Database, host: Host[None]) -> None:
        self._database = database
        self._host = host

    @hookimpl
    def register_authenticators(self) -> Sequence[Authenticator]:
        database = self._database
        return [
            ApiKeys(database),
            AgentTokens(database),
            NodeTokens(database),
            Sessions(database, self._host.clock),
        ]
