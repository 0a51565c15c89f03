"""A database with one account, and what must be true of its books whatever payment providers do."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

from attrs import frozen

from lightphon_core.accounts.people import create_account
from lightphon_core.host import SystemClock
from lightphon_core.ledger import audit, chart
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.schema import balances
from lightphon_core.types import Origin

FILE = "lightphon.db"


class MovedClock(SystemClock):
    """The machine's, moved on by so many seconds."""

    ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


@frozen
class Books:
    """A database with one account, whose deposits the checks make."""

    folder: Path
    account: str

    def database(self) -> Database:
        """Opened once more, as by another process."""
        return Database(f"sqlite:///{self.folder / FILE}")

    def copy(self) -> bytes:
        """A backup. Nobody has the database open."""
        return (self.folder / FILE).read_bytes()

    def restore(self, backup: bytes) -> None:
        """Everything is as it was then. Nobody has the database open."""
        for name in (f"{FILE}-wal", f"{FILE}-shm"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / FILE).write_bytes(backup)

    def fund(self, provider: str, amount: int) -> None:
        """The account has paid so much in."""
        posting = Posting(chart.clearing(provider), chart.wallet(self.account, Origin.LIGHTNING), amount)
        with self.database() as database, database.transaction() as connection:
            carry_out(connection, [Post("deposit", provider, "of the contract", (posting,))])

    def hold(self, expected: int, *, aside: int = 0) -> None:
        """They balance. The provider holds for us what was paid in and not out; the account has it, but for what is
        `aside`, on its way out."""
        with self.database() as database, database.snapshot() as connection:
            problems = audit.verify(connection)
            found = {row.account: row.amount for row in connection.execute(balances.select())}
        assert not problems, f"the books are right; they are not: {problems}"
        wallet = sum(found.get(name, 0) for name in chart.wallets(self.account))
        left = expected - aside
        assert wallet == left, f"the account has what was paid in, once, and not out: {left} msat, not {wallet}"
        clearing = -sum(amount for name, amount in found.items() if name.startswith(chart.clearing("")))
        assert found.get(chart.payout(self.account), 0) == aside, f"{aside} msat are on their way out, and no more"
        assert clearing == expected, f"the provider holds {expected} msat for us, and not {clearing}"


def books_in(folder: Path) -> Books:
    """New ones."""
    path = folder / FILE
    path.write_bytes(_empty())
    path.chmod(0o600)
    with Database(f"sqlite:///{path}") as database, database.transaction() as connection:
        return Books(folder, create_account(connection, "someone", now=time.time()).id)


@functools.cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data" / "lightphon.db"
        with Database(f"sqlite:///{path}") as database:
            migrate(database)
        return path.read_bytes()
