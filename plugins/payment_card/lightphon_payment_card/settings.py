"""Settings of the plugin: the section `[plugins.card]`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen
from attrs.validators import ge, le

from lightphon_core import Secret

MAX_NAME = 120
_WEBHOOK_PREFIX = "whsec_"


class Mode(StrEnum):
    """Which of Stripe's two worlds: in TEST cards are made up and the money is play money."""

    TEST = "test"
    LIVE = "live"


def _is_one_word(_: object, attribute: Attribute[Any], value: Secret | None) -> None:
    if value is not None and (not value.reveal() or not all("!" <= each <= "~" for each in value.reveal())):
        raise ValueError(f"'{attribute.name}' is empty, or has a space or another character that no such secret has")


def _is_url(_: object, attribute: Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"'{attribute.name}' is not a valid URL") from None
    if parts.scheme not in ("http", "https") or not host or not value.isprintable() or " " in value:
        raise ValueError(f"'{attribute.name}' must begin with http:// or https://, and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"'{attribute.name}' must have no user name")


def _is_name(_: object, attribute: Attribute[Any], value: str) -> None:
    if not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise ValueError(f"'{attribute.name}' must be 1 to {MAX_NAME} characters that can be printed")


@frozen
class CardSettings:
    """The Stripe account through which people pay by card. Without `secret_key` nobody does."""

    secret_key: Secret | None = field(
        default=None,
        validator=_is_one_word,
        metadata={"help": "A secret or restricted key of Stripe's API. Left out: nobody pays by card."},
    )
    webhook_secret: Secret | None = field(
        default=None,
        validator=_is_one_word,
        metadata={"help": "The signing secret (whsec_...) of Stripe's webhook endpoint for this server."},
    )
    mode: Mode = field(
        default=Mode.TEST,
        metadata={"help": "Whether the key is a test key, whose money is play money, or a live one."},
    )
    product_name: str = field(
        default="Account credit",
        validator=_is_name,
        metadata={"help": "What is sold, as Stripe's page and receipts call it."},
    )
    return_url: str | None = field(
        default=None,
        validator=_is_url,
        metadata={
            "help": "Where Stripe's page leads back to, where [server] has no public_url.",
            "example": "https://ai.example.com/",
        },
    )
    tolerance_s: int = field(
        default=300,
        validator=[ge(30), le(900)],
        metadata={"help": "How old the signature of a webhook may be, in seconds."},
    )
    api_base: str | None = field(
        default=None,
        validator=_is_url,
        metadata={"help": "An emulator to ask instead of Stripe, for tests; refused with a live key."},
    )

    def __attrs_post_init__(self) -> None:
        if self.secret_key is None:
            if self.webhook_secret is not None:
                raise ValueError("'secret_key' is missing: a webhook's secret alone takes no deposits")
            return
        self._check_mode(self.secret_key)
        self._check_webhook()

    def _check_mode(self, secret_key: Secret) -> None:
        kind, _, rest = secret_key.reveal().partition("_")
        mode = rest.partition("_")[0]
        if kind not in ("sk", "rk") or mode not in tuple(Mode):
            raise ValueError("'secret_key' is no secret key of Stripe's: those begin with sk_test_, sk_live_ or rk_...")
        if mode != self.mode:
            raise ValueError(f"'secret_key' is a {mode} key, and 'mode' is \"{self.mode}\": they must be the same")
        if self.mode is Mode.LIVE and self.api_base is not None:
            raise ValueError("'api_base' is for emulators: a live key is sent to nobody but Stripe")

    def _check_webhook(self) -> None:
        # Nobody would be believed without it, and refunds and disputes would go unseen.
        if self.webhook_secret is None:
            raise ValueError(
                "'webhook_secret' is missing: in Stripe's dashboard add a webhook endpoint at "
                "<public_url>/webhooks/card and copy its signing secret; docs/payments-card.md lists its events"
            )
        if not self.webhook_secret.reveal().startswith(_WEBHOOK_PREFIX):
            raise ValueError(f"'webhook_secret' is no signing secret of Stripe's: those begin with {_WEBHOOK_PREFIX}")
