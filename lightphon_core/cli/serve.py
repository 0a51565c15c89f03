"""`lightphon serve`: run the gateway until it is told to stop."""

from __future__ import annotations

import contextlib
import gc
import os
import signal

import click
import structlog
from attrs import evolve

from lightphon_core import log as logging_setup
from lightphon_core.cli.options import settings_options
from lightphon_core.settings import Settings, unknown_variables
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate


@click.command()
@click.option("--host", help="Address to listen on; [server] host unless told.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; [server] port unless told.")
@settings_options
def serve(settings: Settings, host: str | None, port: int | None) -> None:
    """Run the gateway until Ctrl-C or SIGTERM."""
    # Litestar and uvicorn take half a second to import; `lightphon --help` does without.
    from lightphon_core.web.app import create_app
    from lightphon_core.web.server import bind, server_for, url_of

    if host is not None:
        settings = evolve(settings, server=evolve(settings.server, host=host))
    if port is not None:
        settings = evolve(settings, server=evolve(settings.server, port=port))
    logging_setup.configure(settings.log)
    log = structlog.stdlib.get_logger("lightphon")
    with (
        contextlib.closing(bind(settings.server.host, settings.server.port)) as listener,
        Database(settings.database_url) as database,
    ):
        migrate(database)
        app = create_app(settings, database, os.environ)
        for problem in unknown_variables(os.environ, app.state.plugin_schemas):
            log.warning("environment variable sets nothing", problem=problem)
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
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        log.info("stopped")
