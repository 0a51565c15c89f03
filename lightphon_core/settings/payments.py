"""What the operator can set about money that comes and goes."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import and_, ge, gt, le

from lightphon_core.money import BASIS_POINTS, Amount


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
    expiry_s: int = field(
        default=3_600,
        validator=and_(ge(60), le(7 * 86_400)),
        metadata={"help": "Seconds in which a deposit is to be paid; what comes later is credited too."},
    )
    most_open: int = field(
        default=20, validator=gt(0), metadata={"help": "Deposits that one account may have open at a time."}
    )


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
