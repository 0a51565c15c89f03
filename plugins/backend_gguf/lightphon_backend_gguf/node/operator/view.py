"""The live view of a node in a terminal. The plugin's only module that imports rich."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lightphon_backend_gguf.node.operator.status import Status, asked_text, duration_text, earned_text, speed_text


class TerminalView:
    """Draws a node's status below the lines of its log while its `with` block runs; the last one stays."""

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(
            console=console or Console(),
            auto_refresh=False,  # drawn by the node's own loop, so that a node that hangs does not look alive
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, status: Status) -> None:
        """Draw this from now on."""
        self._live.update(picture(status), refresh=True)


def picture(status: Status) -> RenderableType:
    """The status as rich draws it. Names are text, never markup."""
    limit = f" of at most {status.max_jobs}" if status.max_jobs else ""
    table = Table(title=Text(f"{status.name}: {status.link}"), title_justify="left", expand=False)
    for heading in ("model", "state", "busy", "done", "failed", "tokens/s", "price"):
        table.add_column(heading, justify="right" if heading in ("busy", "done", "failed", "tokens/s") else "left")
    for model in status.models:
        cells = (
            model.id,
            model.state,
            f"{model.busy}/{model.slots}",
            str(model.done),
            str(model.failed),
            speed_text(model.tokens_per_s),
            asked_text(model),
        )
        table.add_row(*(Text(cell) for cell in cells))
    jobs = f"paused {status.paused}" if status.paused else "taking jobs"
    return Group(
        table,
        Text(f"{jobs}, {status.busy}{limit} running, up {duration_text(status.uptime_s)}"),
        Text(f"earned {earned_text(status.earnings)}"),
    )
