"""What every backend must do that tells people how to add a node."""

from __future__ import annotations

import shlex

from lightphon_core.ports import Backend
from lightphon_core.types import MODEL_HERE, TOKEN_HERE, NodeSetup

SERVER = "https://gateway.example"
HOSTILE = "https://x;touch$(y)'`z`"


async def check_node_setup(backend: Backend) -> None:
    """What people are told to paste has a place for their token, and does nothing that an address says."""
    setup = await backend.node_setup(SERVER)
    if setup is None:
        return
    assert isinstance(setup, NodeSetup), f"node_setup() returns a NodeSetup or None, not {setup!r}"
    assert setup.title, "a setup has a title"
    assert setup.summary, "a setup says what such a node does"
    assert setup.command.count(TOKEN_HERE) == 1, "a setup's command has TOKEN_HERE once"
    assert setup.command.count(MODEL_HERE) == bool(setup.models), "MODEL_HERE is there once where there are models"
    assert SERVER in setup.command, "a setup's command says which server the node connects to"
    assert setup.more is None or setup.more.startswith("/"), "a setup's `more` is a path of this server"
    hostile = await backend.node_setup(HOSTILE)
    assert hostile is not None, "whether there is a setup does not depend on the address"
    assert not {";", "(", ")"} & set(_words(hostile.command)), "an address is quoted in a setup's command"


def _words(command: str) -> list[str]:
    """As a shell splits it. What it cannot split is one operator."""
    splitting = shlex.shlex(command, posix=True, punctuation_chars=True)
    splitting.whitespace_split = True
    try:
        return list(splitting)
    except ValueError:
        return [";"]
