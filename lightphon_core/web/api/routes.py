"""Everything under /api, in one router: what is common to its routes."""

from __future__ import annotations

from litestar import Request, Router
from litestar.datastructures import ResponseHeader, State
from litestar.params import QueryParameter

from lightphon_core.errors import InvalidRequest
from lightphon_core.types import Principal
from lightphon_core.web.api import (
    account,
    adjustments,
    admin,
    all_nodes,
    credentials,
    deposit_events,
    deposits,
    instance_health,
    instance_settings,
    ledger_proof,
    model_prices,
    node_prices,
    nodes,
    payout_administration,
    payouts,
    playground,
    plugin_list,
    route,
    status,
    usage,
    wallet,
)
from lightphon_core.web.api.dependencies import DEPENDENCIES
from lightphon_core.web.api.json_request import MAX_BODY_BYTES, JsonRequest


async def _known_parameters(request: Request[Principal, None, State]) -> None:
    """A misspelt parameter would otherwise be one that is not there, and of two of a name the last would count. Runs
    after the guards."""
    parameters = request.route_handler.parsed_fn_signature.parameters
    known = {name for name, each in parameters.items() if isinstance(each.kwarg_definition, QueryParameter)}
    for name, values in request.query_params.dict().items():
        if name not in known:
            there_are = f"There are: {', '.join(sorted(known))}." if known else "Nothing can be said here in the URL."
            raise InvalidRequest(f"Unknown parameter: {name[:100]!r}. {there_are}", param=name[:100])
        if len(values) > 1:
            raise InvalidRequest(f"The parameter {name!r} is given twice.", param=name)


def api() -> Router:
    """The router of the JSON API."""
    return Router(
        "/api",
        route_handlers=[
            *account.ROUTES,
            wallet.get_wallet,
            *deposits.ROUTES,
            deposit_events.follow_deposit,
            usage.get_usage,
            route.route_models,
            playground.chat_in_playground,
            nodes.list_nodes,
            status.get_status,
            *node_prices.ROUTES,
            *credentials.ROUTES,
            admin.Administration,
            adjustments.Adjustments,
            model_prices.ModelPricesRoutes,
            plugin_list.list_plugins,
            instance_settings.get_settings,
            all_nodes.list_nodes,
            ledger_proof.prove_ledger,
            instance_health.get_health,
            payouts.PayoutRoutes,
            payout_administration.PayoutAdministrationRoutes,
        ],
        request_class=JsonRequest,
        request_max_body_size=MAX_BODY_BYTES,
        before_request=_known_parameters,
        dependencies=DEPENDENCIES,
        response_headers=[ResponseHeader("cache-control", value="no-store")],
    )
