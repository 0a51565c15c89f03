"""The wallet that the settings choose."""

from __future__ import annotations

from importlib import import_module

from attrs import frozen

from lightphon_core import Host
from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.settings import LightningSettings, WalletKind
from lightphon_payment_lightning.wallets.demo import DemoSettings
from lightphon_payment_lightning.wallets.wallet import Wallet


@frozen
class Chosen:
    """A wallet, and the network that it is on."""

    wallet: Wallet
    network: Network


def wallet_of(host: Host[LightningSettings]) -> Chosen | None:
    """The wallet that the settings choose, or None where they choose none."""
    settings = host.settings
    kind = settings.wallet
    if kind is None:
        return None
    own = DemoSettings() if kind is WalletKind.DEMO else getattr(settings, kind.value)
    # Its module and its class bear the name of its kind.
    module = import_module(f"lightphon_payment_lightning.wallets.{kind.value}")
    wallet: Wallet = getattr(module, kind.value.capitalize())(own, host)
    return Chosen(wallet, Network.REGTEST if kind is WalletKind.DEMO else settings.network)
