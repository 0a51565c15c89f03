"""Play money: a wallet in this process, whose invoices anybody can pay with nothing."""

from __future__ import annotations

from attrs import frozen


@frozen
class DemoSettings:
    """Play money. There is nothing to set."""
