"""The Electrum daemon, over its JSON-RPC."""

from __future__ import annotations

from attrs import field, frozen

from lightphon_core import Secret
from lightphon_payment_lightning.wallets.access import is_url


@frozen
class ElectrumSettings:
    """The Electrum daemon, over its JSON-RPC."""

    url: str = field(
        validator=is_url, metadata={"help": "Address of its JSON-RPC.", "example": "http://127.0.0.1:7777"}
    )
    user: str = field(metadata={"help": "rpcuser of its configuration."})
    password: Secret = field(metadata={"help": "rpcpassword of its configuration."})
