"""/api/keys, /api/agent-tokens and /api/node-tokens: the same five operations for each kind of credential."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter

from lightphon_core.accounts.credentials import (
    change_credential,
    create_credential,
    get_credential,
    list_credentials,
    revoke_credential,
)
from lightphon_core.accounts.people import account_of_id
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import check_gateway, check_grant
from lightphon_core.errors import InvalidRequest, Unauthenticated
from lightphon_core.host import AccountChanges
from lightphon_core.ledger.budgets import check_unbound, set_budgets
from lightphon_core.plugins import Plugins
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.terms import (
    Budgets,
    CredentialChange,
    CredentialInfo,
    CredentialList,
    MadeCredential,
    NewCredential,
    amounts,
    changed_terms,
    credential_info,
    credential_infos,
    made_credential,
    new_terms,
)
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals
from lightphon_core.web.openapi_document import camel_case

Id = Annotated[str, PathParameter(pattern="^cred_[A-Za-z0-9]{16}$", description="As it was made: cred_...")]


def _named(verb: str) -> Any:
    """The id of an operation, for whichever kind it is: of one credential, or of all where `verb` is "list"."""

    def name(handler: HTTPRouteHandler, *_: object) -> str:
        (many,) = handler.resolve_tags()
        return camel_case([verb, *(many if verb == "list" else many.removesuffix("s")).split()])

    return name


class _Credentials(Controller):
    """Credentials of one kind."""

    kind: ClassVar[Kind]
    security = SESSION_OR_KEY

    @get(operation_id=_named("list"), guards=[Requires(Scope.ACCOUNT)], responses=refusals(*GUARDED))
    async def list_(self, principal: Given[Principal], database: Given[Database]) -> CredentialList:
        """Those that are not revoked."""

        def look(connection: Connection) -> CredentialList:
            found = list_credentials(connection, account_id=principal.account_id, kind=self.kind, revoked=False)
            return CredentialList(credential_infos(connection, found))

        return await database.read(look)

    @get(
        "/{credential_id:str}",
        operation_id=_named("get"),
        guards=[Requires(Scope.ACCOUNT)],
        responses=refusals(*GUARDED, 404),
    )
    async def show(self, credential_id: Id, principal: Given[Principal], database: Given[Database]) -> CredentialInfo:
        """One of them, revoked or not."""

        def look(connection: Connection) -> CredentialInfo:
            found = get_credential(connection, principal.account_id, self.kind, credential_id)
            return credential_info(connection, found)

        return await database.read(look)

    @post(operation_id=_named("create"), guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def create(
        self,
        data: JSONBody[NewCredential],
        principal: Given[Principal],
        database: Given[Database],
        gateway: Given[Gateway],
        plugins: Given[Plugins],
    ) -> MadeCredential:
        """Make one. This answer alone has its secret."""
        terms, now = new_terms(data), gateway.clock.now()
        check_gateway(terms.used_by, plugins.gateways())
        check_grant(principal, self.kind, terms)

        def make(connection: Connection) -> MadeCredential:
            account = account_of_id(connection, principal.account_id)
            if account is None:
                raise Unauthenticated("Your account is gone.", code="session_ended")
            self._check_budgets(connection, principal, data.budgets)
            made, secret = create_credential(connection, account, self.kind, now=now, terms=terms)
            set_budgets(connection, made.id, amounts(data.budgets))
            return made_credential(connection, made, secret)

        return await database.write(make)

    @patch(
        "/{credential_id:str}",
        operation_id=_named("change"),
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, *TAKES_BODY, 404),
    )
    async def change(
        self,
        credential_id: Id,
        data: JSONBody[CredentialChange],
        principal: Given[Principal],
        database: Given[Database],
        gateway: Given[Gateway],
        plugins: Given[Plugins],
        account_changes: Given[AccountChanges],
    ) -> CredentialInfo:
        """Give it other terms; its secret stays."""
        now = gateway.clock.now()
        if data.used_by is not msgspec.UNSET:
            check_gateway(data.used_by, plugins.gateways())

        def change(connection: Connection) -> CredentialInfo:
            before = get_credential(connection, principal.account_id, self.kind, credential_id)
            terms = changed_terms(before.terms, data)
            check_grant(principal, self.kind, terms)
            self._check_budgets(connection, principal, data.budgets)
            changed = change_credential(connection, principal.account_id, self.kind, credential_id, terms, now=now)
            if data.budgets is not msgspec.UNSET:
                set_budgets(connection, credential_id, amounts(data.budgets))
            return credential_info(connection, changed)

        changed = await database.write(change)
        account_changes.publish(principal.account_id)
        return changed

    @delete(
        "/{credential_id:str}",
        operation_id=_named("revoke"),
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, 404),
    )
    async def revoke(
        self,
        credential_id: Id,
        principal: Given[Principal],
        database: Given[Database],
        gateway: Given[Gateway],
        account_changes: Given[AccountChanges],
    ) -> CredentialInfo:
        """Revoke it, for good. Revoking it again changes nothing."""
        now = gateway.clock.now()

        def revoke(connection: Connection) -> CredentialInfo:
            revoked = revoke_credential(connection, self.kind, credential_id, now=now, account_id=principal.account_id)
            return credential_info(connection, revoked)

        revoked = await database.write(revoke)
        account_changes.publish(principal.account_id)
        return revoked

    def _check_budgets(self, connection: Connection, principal: Principal, asked: Budgets | msgspec.UnsetType) -> None:
        if self.kind is Kind.NODE_TOKEN:
            if asked is not msgspec.UNSET and amounts(asked):
                raise InvalidRequest("A node token has no budgets: it spends nothing.", param="budgets")
        else:
            check_unbound(connection, principal.credential_id, "make or change what spends")


class Keys(_Credentials):
    """API keys."""

    path = "/keys"
    tags = ("keys",)
    kind = Kind.API_KEY


class AgentTokens(_Credentials):
    """Agent tokens, which stand in the path of a base URL."""

    path = "/agent-tokens"
    tags = ("agent tokens",)
    kind = Kind.AGENT_TOKEN


class NodeTokens(_Credentials):
    """Node tokens, which GPU nodes connect with."""

    path = "/node-tokens"
    tags = ("node tokens",)
    kind = Kind.NODE_TOKEN


ROUTES = [Keys, AgentTokens, NodeTokens]
