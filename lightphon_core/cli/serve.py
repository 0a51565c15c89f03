"""`lightphon serve`: run the gateway until it is told to stop."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from typing import TYPE_CHECKING

import click
import structlog
from attrs import evolve

from lightphon_core import log as logging_setup
from lightphon_core.cli.group import Failure
from lightphon_core.cli.options import settings_options
from lightphon_core.log.strays import log_strays
from lightphon_core.settings import Settings, unknown_plugins, unknown_variables
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate

if TYPE_CHECKING:
    from lightphon_core.web.server import Server


@click.command()
@click.option("--host", help="Address to listen on; [server] host unless told.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; [server] port unless told.")
@settings_options
def serve(settings: Settings, host: str | None, port: int | None) -> None:
    """Run the gateway until Ctrl-C, SIGTERM or SIGHUP. Settings are read at the start: a restart applies a change."""
    # Litestar and uvicorn take half a second to import; `lightphon --help` does without.
    from lightphon_core.web.app import create_app
    from lightphon_core.web.server import bind, server_for, url_of

    if host is not None:
        if not host:
            raise Failure("--host is empty. Name an address to listen on, or leave it out.")
        settings = evolve(settings, server=evolve(settings.server, host=host))
    if port is not None:
        settings = evolve(settings, server=evolve(settings.server, port=port))
    logging_setup.configure(settings.log)
    log_strays()
    log = structlog.stdlib.get_logger("lightphon")
    with (
        contextlib.closing(bind(settings.server.host, settings.server.port)) as listener,
        Database(settings.database_url) as database,
    ):
        migrate(database, backups=settings.backups)
        app = create_app(settings, database, os.environ)
        for problem in unknown_variables(os.environ, app.state.plugin_schemas):
            log.warning("environment variable sets nothing", problem=problem)
        for problem in unknown_plugins(settings, [plugin.name for plugin in app.state.plugins.plugins]):
            log.warning("setting sets nothing", problem=problem)
        url = url_of(listener)

        def started() -> None:
            # What is there now stays: walking through it in search of garbage would stall every stream for 50 ms.
            gc.collect()
            gc.freeze()
            log.info("listening", url=url, data_dir=str(settings.data_dir))

        server = server_for(app, shutdown_grace_s=settings.server.shutdown_grace_s, on_started=started)
        # uvicorn stops on both signals, and then raises them once more for whoever handled them before: that is here.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _stop_on_hangup(server)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        log.info("stopped")


def _stop_on_hangup(server: Server) -> None:
    """A terminal that is closed, or somebody who expects settings to be read again, stops the server as SIGTERM does.

    Where the signal is ignored already, as under nohup, it stays so.
    """

    def stop(_: int, __: object) -> None:
        server.should_exit = True

    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop)
