"""What the operator can set about money that comes and goes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from attrs import field, frozen
from attrs.validators import and_, ge, gt, le, optional

from lightphon_core.money import BASIS_POINTS, Amount, Cents
from lightphon_core.settings.network import are_urls


def _sats(amount: int) -> Amount:
    return Amount(amount * 1_000)


@frozen
class DepositSettings:
    """`[deposits]`: what people pay in, through whichever provider."""

    least: Amount = field(
        default=_sats(1), validator=gt(Amount(0)), metadata={"help": "Sats that a deposit has at least."}
    )
    most: Amount = field(
        default=_sats(1_000_000), validator=gt(Amount(0)), metadata={"help": "Sats that a deposit has at most."}
    )
    least_eur: Cents = field(
        default=Cents(100),
        validator=gt(Cents(0)),
        metadata={"help": "The same of a deposit that is paid in euros, such as one by card: the least."},
    )
    most_eur: Cents = field(
        default=Cents(20_000),
        validator=gt(Cents(0)),
        metadata={"help": "The most that a deposit has which is paid in euros."},
    )
    expiry_s: int = field(
        default=3_600,
        validator=and_(ge(60), le(7 * 86_400)),
        metadata={"help": "Seconds in which a deposit is to be paid; what comes later is credited too."},
    )
    most_open: int = field(
        default=20, validator=gt(0), metadata={"help": "Deposits that one account may have open at a time."}
    )


@frozen
class RateSettings:
    """`[rates]`: what a bitcoin costs in euros. Public sources are asked each minute, but only where a provider is paid
    in euros, or with `display`."""

    fixed: Cents | None = field(
        default=None,
        validator=optional(gt(Cents(0))),
        metadata={
            "help": "Euros for a bitcoin, for demonstrations and tests; nobody is asked then.",
            "example": "60000.00",
        },
    )
    display: bool = field(
        default=False,
        metadata={"help": "Whether wallets are shown in euros too where no provider is paid in euros."},
    )
    spread_bps: int = field(
        default=0,
        validator=and_(ge(0), le(BASIS_POINTS)),
        metadata={"help": "What is charged above the rate for a deposit in euros, in basis points: 100 is 1 %."},
    )
    sources: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The sources to ask, two or more; all that LightPhon knows unless told.",
            "example": ("bitstamp", "coinbase", "kraken"),
        },
    )
    urls: Mapping[str, str] = field(
        factory=dict,
        validator=are_urls,
        metadata={
            "help": "Where to ask a source instead, by its name, such as a proxy of one's own.",
            "example": {"mempool": "http://127.0.0.1:8999/api/v1/prices"},
        },
    )

    @property
    def fixed_rate(self) -> Decimal | None:
        """`fixed` as other rates are."""
        return None if self.fixed is None else Decimal(self.fixed).scaleb(-2)


@frozen
class PayoutSettings:
    """`[payouts]`: what people withdraw."""

    enabled: bool = field(default=True, metadata={"help": "Whether anybody may withdraw."})
    least: Amount = field(
        default=_sats(1), validator=gt(Amount(0)), metadata={"help": "Sats that a payout has at least."}
    )
    daily: Amount = field(
        default=_sats(1_000_000),
        validator=gt(Amount(0)),
        metadata={"help": "Sats that one account may withdraw in 24 hours."},
    )
    daily_of_all: Amount = field(
        default=_sats(5_000_000),
        validator=gt(Amount(0)),
        metadata={"help": "Sats that all accounts together may withdraw in 24 hours."},
    )
    approval_above: Amount | None = field(
        default=None,
        metadata={
            "help": "Sats above which an administrator must approve a payout; none needs it unless told.",
            "example": 100_000,
        },
    )
    fee_base: Amount = field(
        default=_sats(10),
        metadata={"help": "Sats that the network may charge for a payout of any amount; whoever withdraws pays."},
    )
    fee_bps: int = field(
        default=100,
        validator=and_(ge(0), le(BASIS_POINTS)),
        metadata={"help": "The same in basis points of the amount, besides: 100 is 1 %."},
    )
    automatic_least: Amount = field(
        default=_sats(1_000),
        validator=gt(Amount(0)),
        metadata={"help": "Sats that somebody's threshold for automatic payouts has at least."},
    )
