"""Core Lightning, over its plugin clnrest."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from lightphon_core import Secret
from lightphon_payment_lightning.wallets.access import is_one_word, is_url


@frozen
class ClnSettings:
    """Core Lightning, over its plugin clnrest."""

    url: str = field(validator=is_url, metadata={"help": "Address of clnrest.", "example": "https://127.0.0.1:3010"})
    rune: Secret = field(validator=is_one_word, metadata={"help": "A rune."})
    certificate: Path | None = field(
        default=None, metadata={"help": "Its ca.pem, where no public authority has signed its certificate."}
    )
