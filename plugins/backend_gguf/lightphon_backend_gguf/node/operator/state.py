"""Where a node keeps what outlives it: its control socket while it runs, and digests that it has computed."""

from collections.abc import Mapping
from pathlib import Path

STATE_VARIABLE = "LIGHTPHON_NODE_STATE_DIR"


def state_directory(environ: Mapping[str, str]) -> Path:
    """This user's directory: `$LIGHTPHON_NODE_STATE_DIR`, else `$XDG_STATE_HOME/lightphon-node`, or where that is by
    default. It need not exist."""
    if own := environ.get(STATE_VARIABLE):
        return Path(own)
    base = environ.get("XDG_STATE_HOME") or environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "state") / "lightphon-node"
