"""What stands between the wire and the routes, outermost first: who the client is, the request's id and its line in the
log, whether the request is for us, who may read the answer, how long its body may be and take, and by which methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import Litestar
from litestar.routes import HTTPRoute

from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.web.edge.access_log import AccessLog, words_of
from lightphon_core.web.edge.bodies import BoundedBodies
from lightphon_core.web.edge.cors import Cors
from lightphon_core.web.edge.hosts import HostCheck, host_rule
from lightphon_core.web.edge.methods import Methods
from lightphon_core.web.edge.proxies import ClientAddress, networks

if TYPE_CHECKING:
    from litestar.types import ASGIApp


def edge(app: Litestar) -> ASGIApp:
    """The application of `create_app` as it is served. Litestar's own middleware would see no request for an unknown
    path."""
    settings: Settings = app.state.settings
    gateway: Gateway = app.state.gateway
    server = settings.server
    methods = {route.path_format: route.methods for route in app.routes if isinstance(route, HTTPRoute)}
    chain: ASGIApp = Methods(app, methods)
    chain = BoundedBodies(chain, limit=server.max_body_bytes, timeout_s=server.body_timeout_s, room=app.state.body_room)
    chain = Cors(chain)
    if (rule := host_rule(server)) is not None:
        chain = HostCheck(chain, rule)
    words = words_of([route.path for route in app.routes])
    chain = AccessLog(chain, gateway.log, gateway.clock, app.state.metrics, words)
    if trusted := networks(server.trusted_proxies):
        chain = ClientAddress(chain, trusted)
    return chain
