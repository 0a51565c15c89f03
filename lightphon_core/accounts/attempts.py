"""What an attempt to log in is counted against."""

from __future__ import annotations

from attrs import frozen

from lightphon_core.accounts.addresses import counted_as
from lightphon_core.accounts.device_cookies import Device
from lightphon_core.accounts.rates import Draw, Rate
from lightphon_core.settings import AccountSettings

DEVICES = 3
"""How many devices' worth of attempts an account has for all it is known to. Cookies cost no more than a log-in each:
without this, whoever has one account could have everybody else's checks wait behind their own."""


@frozen
class Attempts:
    """Draws on the limits that the settings name."""

    settings: AccountSettings

    def by_name(self, name: str) -> Draw:
        """Of a name that somebody typed."""
        return _one(f"name:{name.lower()}", self.settings.logins_per_minute, "this name")

    def by_address(self, client: str | None) -> Draw:
        """Of a client's address; of IPv6, of its site."""
        return _one(f"address:{counted_as(client)}", self.settings.logins_per_minute_per_address, "your address")

    def by_device(self, device: Device) -> tuple[Draw, Draw]:
        """Of a browser that is known to the account, and of all those together."""
        each = self.settings.logins_per_minute
        return (
            _one(f"device:{device.nonce}", each, "this browser"),
            _one(f"devices:{device.account_id}", DEVICES * each, "your browsers"),
        )

    def by_account(self, account_id: str) -> Draw:
        """Of somebody who is logged in."""
        return _one(f"account:{account_id}", self.settings.logins_per_minute, "you")


def _one(name: str, per_minute: int, whose: str) -> Draw:
    return Draw(Rate(name, "log-in attempts", per_minute, whose))
