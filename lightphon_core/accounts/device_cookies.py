"""Device cookies: by what a browser shows that somebody logged in to an account there before (OWASP's name). Pure but
for randomness.

Attempts from such a browser have limits and a place of their own (membership.py), so a flood of strangers keeps nobody
out who was in. It stands for no session, and opens nothing.

Nothing is kept of it. It is a random number with a MAC, whose key is the stored hash of the account's password: a new
password ends all of them, and whoever stole the database can forge no more than a place in the queue. The hash has a
random salt, so a cookie is nothing to try passwords on.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from attrs import field, frozen

from lightphon_core.accounts.secrets import random_text

DEVICE_COOKIE = "lightphon_device"
SECURE_DEVICE_COOKIE = f"__Secure-{DEVICE_COOKIE}"
"""Its name where there is https. It is for one path alone, which `__Host-` would not let it be."""

_PURPOSE = "lightphon device cookie 1"
_COOKIE = re.compile(r"ld_([A-Za-z0-9]{22})_([0-9a-f]{64})_(acc_[A-Za-z0-9]{16})")


@frozen
class Device:
    """What a cookie says. `nonce` tells the browser from others; `account_id` is whose log-in it saw. Nothing of it is
    believed before `vouched_for` has said so."""

    account_id: str
    nonce: str
    mac: str = field(repr=False)

    @property
    def cookie(self) -> str:
        """As the browser keeps it."""
        return f"ld_{self.nonce}_{self.mac}_{self.account_id}"


def new_device(account_id: str, password_hash: str) -> Device:
    """For a browser where somebody has just shown the password of this hash."""
    nonce = random_text(22)
    return Device(account_id, nonce, _mac(account_id, nonce, password_hash))


def read_device(cookie: str | None) -> Device | None:
    """What a cookie claims; None where it can be none of ours."""
    found = _COOKIE.fullmatch(cookie or "")
    return None if found is None else Device(account_id=found[3], nonce=found[1], mac=found[2])


def vouched_for(device: Device, password_hash: str) -> bool:
    """Whether `new_device` made it for this account, while its password was the one of this hash."""
    return hmac.compare_digest(device.mac, _mac(device.account_id, device.nonce, password_hash))


def _mac(account_id: str, nonce: str, password_hash: str) -> str:
    return hmac.new(password_hash.encode(), f"{_PURPOSE}\n{account_id}\n{nonce}".encode(), hashlib.sha256).hexdigest()
