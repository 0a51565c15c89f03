"""What the routes of the JSON API take."""

from __future__ import annotations

import msgspec


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of what a route takes as its `data`."""
