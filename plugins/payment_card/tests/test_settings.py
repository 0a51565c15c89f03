"""What an operator may write, and what is said where it is wrong."""

from pathlib import Path

import pytest
from lightphon_payment_card.plugin import Card
from lightphon_payment_card.settings import CardSettings, Mode

from lightphon_core import Secret, SettingsError
from lightphon_core.settings import PluginsSettings, Settings, plugin_settings
from lightphon_core.testing import host_for

GOOD = {"secret_key": "sk_test_hunter2", "webhook_secret": "whsec_hunter2"}
LIVE = {**GOOD, "secret_key": "rk_live_hunter2", "mode": "live"}


def read(values, **environ):
    settings = Settings(data_dir=Path("/nowhere"), plugins=PluginsSettings(tables={"card": values}))
    return plugin_settings(settings, "card", CardSettings, environ)


def test_what_is_right_is_read_and_not_shown():
    settings = read(GOOD)
    assert (settings.mode, settings.tolerance_s, settings.api_base) == (Mode.TEST, 300, None)
    assert settings.secret_key == Secret("sk_test_hunter2")
    assert "hunter2" not in repr(settings)
    assert read(LIVE).mode is Mode.LIVE


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"secret_key": "sk_test_hunter2"}, "/webhooks/card"),
        ({"webhook_secret": "whsec_hunter2"}, "secret_key is missing"),
        ({**GOOD, "webhook_secret": "hunter2"}, "whsec_"),
        ({**GOOD, "webhook_secret": "whsec_hunter2 "}, "webhook_secret"),
        ({**GOOD, "secret_key": ""}, "secret_key"),
        ({**GOOD, "secret_key": "pk_test_hunter2"}, "no secret key"),
        ({**GOOD, "secret_key": "sk_hunter2"}, "no secret key"),
        ({**GOOD, "mode": "live"}, "is a test key, and 'mode' is \"live\""),
        ({**LIVE, "mode": "test"}, "is a live key, and 'mode' is \"test\""),
        ({**GOOD, "secret_key": "sk_live_hunter2"}, "is a live key"),
        ({**LIVE, "api_base": "http://127.0.0.1:8080"}, "nobody but Stripe"),
        ({**GOOD, "api_base": "127.0.0.1:8080"}, "http://"),
        ({**GOOD, "api_base": "http://hunter2:x@127.0.0.1"}, "user name"),
        ({**GOOD, "return_url": "javascript:alert(1)"}, "return_url"),
        ({**GOOD, "product_name": " "}, "product_name"),
        ({**GOOD, "tolerance_s": 3_600}, "tolerance_s"),
    ],
)
def test_what_is_wrong_is_named_and_secrets_are_not(values, said):
    with pytest.raises(SettingsError) as refused:
        read(values)
    assert said in refused.value.message
    assert "card" in refused.value.message
    assert "hunter2" not in refused.value.message


def test_without_a_key_there_is_nothing():
    assert list(Card(host_for(CardSettings())).register_payment_providers()) == []


@pytest.mark.parametrize(("values", "play_money"), [(GOOD, True), (LIVE, False)])
async def test_money_of_test_cards_is_play_money(values, play_money):
    (provider,) = Card(host_for(read(values))).register_payment_providers()
    assert provider.play_money is play_money
    assert provider.currency == "EUR"
    await provider.stop()
