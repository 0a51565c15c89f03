"""LND, over its REST API."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from lightphon_core import Secret
from lightphon_payment_lightning.wallets.access import is_one_word, is_url


@frozen
class LndSettings:
    """LND, over its REST API."""

    url: str = field(validator=is_url, metadata={"help": "Its REST address.", "example": "https://127.0.0.1:8080"})
    macaroon: Secret = field(validator=is_one_word, metadata={"help": "A macaroon, in hex."})
    certificate: Path | None = field(
        default=None, metadata={"help": "Its tls.cert, where no public authority has signed it."}
    )
