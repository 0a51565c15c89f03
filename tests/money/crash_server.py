"""A gateway with a priced node in its process, for tests that kill it.

`python crash_server.py DATA_DIR DATABASE_URL LEASE_S`.

The node says as many numbered words as it is asked for, a few milliseconds apart, at a sat a word.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from sqlalchemy import insert

from lightphon_core import Job, Price, log
from lightphon_core.ledger.owners import existing
from lightphon_core.settings import LedgerSettings, LogSettings, PricingSettings, Settings, StorageSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.schema import accounts
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event, usage
from lightphon_core.web.app import create_app
from lightphon_core.web.server import bind, server_for

OWNER = "acc_owner"


async def words(job: Job) -> AsyncGenerator[bytes, None]:
    most = json.loads(job.body)["max_tokens"]
    for number in range(most):
        yield chunk({"content": f" word{number:03d}"})
        await asyncio.sleep(0.005)
    yield chunk(finish="stop") + usage(5, most) + event("[DONE]")


def main() -> None:
    log.configure(LogSettings())  # to stderr: stdout is for the test
    data_dir, url, lease_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    settings = Settings(
        data_dir=data_dir,
        storage=StorageSettings(url=url),
        pricing=PricingSettings(house_bps=500),
        ledger=LedgerSettings(lease_s=lease_s),
    )
    listener = bind("127.0.0.1", 0)
    backend = ScriptedBackend(words, price=Price(per_mtok_completion=10**9), slots=64, owner=OWNER)
    with Database(settings.database_url) as database:
        migrate(database)
        with database.transaction() as connection:
            if not existing(connection, [OWNER]):
                connection.execute(insert(accounts).values(id=OWNER, name="owner", created_at=0))
        app = create_app(settings, database, {}, sources=[plugin_of(backend)])
        ready = lambda: print("ready", listener.getsockname()[1], flush=True)  # noqa: E731
        server_for(app, shutdown_grace_s=1, on_started=ready).run(sockets=[listener])


if __name__ == "__main__":
    main()
