"""Whether the database can be used, is whole, and holds books that are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lightphon_core.cli.checks.finding import Finding, ok, problem, warning
from lightphon_core.errors import StorageError
from lightphon_core.ledger.audit import verify
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.inspection import fault_of, is_empty, looking_at
from lightphon_core.storage.location import Location, locate
from lightphon_core.storage.revisions import check_known, current, newest

CHECK = "database"
CLOCKS_APART_S = 5
SHOWN = 3


def check_database(url: str, clock: Callable[[], float]) -> Iterator[Finding]:
    """Look at the database without changing it. `clock` is this machine's, in seconds since 1970."""
    try:
        location = locate(url)
    except StorageError as error:
        yield problem(CHECK, error.message, "Correct `url` of [storage].")
        return
    if location.path is not None and not location.path.exists():
        yield warning(CHECK, f"There is no database {location.name} yet.", "Run `lightphon init`.")
        return
    try:
        yield from _look(location, clock)
    except StorageError as error:
        yield problem(
            CHECK, error.message, _RESTORE if location.path else "Is the server up, and `url` of [storage] right?"
        )


_RESTORE = "If it is damaged, stop the server and restore a backup: lightphon restore FILE."


def _look(location: Location, clock: Callable[[], float]) -> Iterator[Finding]:
    with looking_at(location) as connection:
        schema = current(connection)
        if schema is None and is_empty(connection):
            yield warning(CHECK, f"The database {location.name} is empty.", "Run `lightphon init`.")
            return
        if schema is None:
            yield problem(CHECK, f"{location.name} is not a LightPhon database.", "Correct `url` of [storage].")
            return
        if fault := fault_of(connection):
            yield problem(CHECK, f"{location.name} is damaged: {fault}.", _RESTORE)
            return
        try:
            check_known(schema, location.name)
        except StorageError as error:
            yield problem(CHECK, error.message, "")
            return
        if schema != (latest := newest()):
            yield warning(
                CHECK,
                f"{location.name} has the schema {schema}, this version works with {latest}.",
                "`lightphon serve` migrates it"
                + (", after a backup." if location.path else ". Make a backup with pg_dump first."),
            )
            return
        yield ok(CHECK, f"{location.name} can be read and is whole (schema {schema}).")
        faults = verify(connection)
        for fault in faults[:SHOWN]:
            yield problem(
                "ledger", f"{fault}.", "`lightphon ledger verify` shows all, `lightphon ledger rebuild` mends."
            )
        if not faults:
            yield ok("ledger", "The books are right.")
        apart = abs(database_now(connection) / 1_000_000 - clock())
        if apart > CLOCKS_APART_S:
            yield warning(
                "clock",
                f"The database's clock and this machine's are {apart:.0f} s apart.",
                "Set both by NTP: leases and sessions run on them.",
            )
