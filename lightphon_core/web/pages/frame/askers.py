"""Who asked, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from lightphon_core.accounts.sessions import PLAYGROUND


def key_name(credential_id: str, keys: Mapping[str, str]) -> str:
    """A key's name, of `keys` by their ids; or the Playground."""
    if credential_id == PLAYGROUND:
        return "Playground"
    return keys.get(credential_id) or "a key without a name"
