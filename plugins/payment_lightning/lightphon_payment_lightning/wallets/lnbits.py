"""LNbits, over its HTTP API."""

from __future__ import annotations

from attrs import field, frozen

from lightphon_core import Secret
from lightphon_payment_lightning.wallets.access import is_one_word, is_url


@frozen
class LnbitsSettings:
    """LNbits, over its HTTP API: one of its wallets."""

    url: str = field(validator=is_url, metadata={"help": "Its address.", "example": "http://127.0.0.1:5000"})
    invoice_key: Secret = field(validator=is_one_word, metadata={"help": "The wallet's invoice (read) key."})
    admin_key: Secret = field(validator=is_one_word, metadata={"help": "The wallet's admin key, which pays."})
