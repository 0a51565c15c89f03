"""Settings of the plugin: the section `[plugins.lightning]`, and a table in it for the wallet."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from attrs import Attribute, field, frozen

from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.wallets.cln import ClnSettings
from lightphon_payment_lightning.wallets.electrum import ElectrumSettings
from lightphon_payment_lightning.wallets.lnbits import LnbitsSettings
from lightphon_payment_lightning.wallets.lnd import LndSettings
from lightphon_payment_lightning.wallets.phoenixd import PhoenixdSettings


class WalletKind(StrEnum):
    """What wallet it is; also the name of its module, and of its table of settings."""

    LND = "lnd"
    CLN = "cln"
    PHOENIXD = "phoenixd"
    LNBITS = "lnbits"
    ELECTRUM = "electrum"
    DEMO = "demo"


@frozen
class LightningSettings:
    """The wallet through which people pay in and withdraw over Lightning."""

    wallet: WalletKind | None = field(
        default=None,
        metadata={"help": "Which wallet. Left out: nobody pays over Lightning. demo is play money.", "example": "lnd"},
    )
    network: Network = field(
        default=Network.BITCOIN,
        metadata={"help": "The wallet's network; invoices of others are refused. The demo's is regtest."},
    )
    allow_private_addresses: bool = field(
        default=False,
        metadata={
            "help": "Whether Lightning addresses may lead into the server's own network. For trials on one machine: "
            "whoever withdraws could reach what stands behind your firewall."
        },
    )
    lnd: LndSettings | None = None
    cln: ClnSettings | None = None
    phoenixd: PhoenixdSettings | None = None
    lnbits: LnbitsSettings | None = None
    electrum: ElectrumSettings | None = None

    @wallet.validator
    def _has_its_table(self, _: Attribute[Any], wallet: WalletKind | None) -> None:
        if wallet is not None and wallet is not WalletKind.DEMO and getattr(self, wallet.value) is None:
            raise ValueError(f"'{wallet.value}' is missing: 'wallet' says that there is such a table")
