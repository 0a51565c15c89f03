"""phoenixd, over its HTTP API."""

from __future__ import annotations

from attrs import field, frozen

from lightphon_core import Secret
from lightphon_payment_lightning.wallets.access import is_one_word, is_url


@frozen
class PhoenixdSettings:
    """phoenixd, over its HTTP API."""

    url: str = field(validator=is_url, metadata={"help": "Its address.", "example": "http://127.0.0.1:9740"})
    password: Secret = field(validator=is_one_word, metadata={"help": "http-password of its phoenix.conf."})
    webhook_secret: Secret | None = field(
        default=None,
        validator=is_one_word,
        metadata={"help": "webhook-secret of its phoenix.conf. Left out: what webhooks say is asked for again."},
    )
