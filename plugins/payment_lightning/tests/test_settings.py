"""What an operator may write, and what is said where it is wrong."""

from pathlib import Path

import pytest
from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.plugin import Lightning
from lightphon_payment_lightning.settings import LightningSettings, WalletKind

from lightphon_core import SettingsError
from lightphon_core.settings import PluginsSettings, Settings, plugin_settings
from lightphon_core.testing import host_for

LND = {"url": "https://127.0.0.1:8080", "macaroon": "0201"}


def read(values, **environ):
    settings = Settings(data_dir=Path("/nowhere"), plugins=PluginsSettings(tables={"lightning": values}))
    return plugin_settings(settings, "lightning", LightningSettings, environ)


def test_the_wallet_has_its_table():
    settings = read({"wallet": "lnd", "network": "regtest", "lnd": LND})
    assert (settings.wallet, settings.network) == (WalletKind.LND, Network.REGTEST)
    assert settings.lnd is not None
    assert settings.lnd.macaroon.reveal() == "0201"
    assert "0201" not in repr(settings)
    assert read({"lnd": LND}).wallet is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"wallet": "cln", "lnd": LND}, "cln"),
        ({"wallet": "paypal"}, "phoenixd"),
        ({"wallet": "lnd", "lnd": {**LND, "url": "127.0.0.1:8080"}}, "http://"),
        ({"wallet": "lnd", "lnd": {**LND, "url": "https://me:hunter2@127.0.0.1"}}, "user name"),
        ({"wallet": "lnd", "lnd": {**LND, "macaroon": "hunter2\nSecond: header"}}, "macaroon"),
        ({"wallet": "demo", "network": "liquid"}, "signet"),
    ],
)
def test_what_is_wrong_is_named_and_secrets_are_not(values, said):
    with pytest.raises(SettingsError) as refused:
        read(values)
    assert said in refused.value.message
    assert "plugins.lightning" in refused.value.message
    assert "hunter2" not in refused.value.message


def test_without_a_wallet_there_is_nothing():
    plugin = Lightning(host_for(LightningSettings()))
    assert [*plugin.register_payment_providers(), *plugin.register_payout_providers(), *plugin.register_routes()] == []
