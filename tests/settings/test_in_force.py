"""Settings as an administrator sees them: all of them, where each is set, and never a secret."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest

from lightphon_core.money import Amount
from lightphon_core.settings import Secret, Settings, load
from lightphon_core.settings.environment import variables
from lightphon_core.settings.in_force import in_force, without_credentials

CANARY = "c4n4ry"


def values(settings, *where):
    return {each.key or each.variable: each.value for each in in_force(settings, *where)}


def test_every_setting_is_there_with_its_place(tmp_path):
    config = tmp_path / "lightphon.toml"
    config.write_text('[pricing]\nper_minute = "0.5"\n[pricing.models."own/Q2.5"]\nper_request = 3\n')
    settings = load(config, {"LIGHTPHON_SERVER_PORT": "81"}, data_dir=tmp_path)
    found = {each.key: each for each in in_force(settings)}
    assert {".".join(each.path) for each in variables(Settings)} <= found.keys()
    port = found["server.port"]
    assert (port.variable, port.value, port.is_default) == ("LIGHTPHON_SERVER_PORT", "81", False)
    assert found["server.host"].is_default
    assert found["server.host"].help
    assert found["server.public_url"].value is None
    assert found["pricing.per_minute"].value == "0.5"  # sats, as in the file
    ours = found['pricing.models."own/Q2.5".per_request']
    assert (ours.variable, ours.value, ours.is_default) == (None, "3", False)
    assert "pricing.models" not in found


def test_no_secret_of_the_core_is_there(tmp_path):
    environ = {
        "LIGHTPHON_SERVER_METRICS_TOKEN": CANARY * 5,
        "LIGHTPHON_STORAGE_URL": f"postgresql://me:{CANARY}@host/data",
        "LIGHTPHON_RATES_URLS": f"one=https://host/rate?key={CANARY}",
    }
    shown = values(load(None, environ, data_dir=tmp_path))
    assert CANARY not in str(shown)
    assert shown["server.metrics_token"] == shown["storage.url"] == '"..."'
    assert shown["rates.urls"] == '{one = "https://host/rate?..."}'


class Colour(StrEnum):
    RED = "red"


SECRET, PRICE = Secret(CANARY), Amount(1500)


@attrs.frozen
class Inner:
    """A table of a plugin."""

    url: str = f"https://{CANARY}:{CANARY}@host/path"
    key: Secret = SECRET
    price: Amount = PRICE


@attrs.frozen
class Foreign:
    """Whatever somebody else's plugin may have, and where a secret may hide in it."""

    inner: Inner = Inner()
    absent: Inner | None = None
    many: tuple[Inner, ...] = (Inner(),)
    named: Mapping[str, Inner] = attrs.field(factory=lambda: {"the one": Inner()})
    own: Inner | None = attrs.field(default=Inner(), metadata={"variables": "FOREIGN"})
    secrets: tuple[Secret, ...] = (Secret(CANARY),)
    by_name: Mapping[str, Secret] = attrs.field(factory=lambda: {"a": Secret(CANARY)})
    headers: Mapping[str, str] = attrs.field(factory=lambda: {"Authorization": CANARY, "accept": "all"})
    api_key: str = CANARY
    unseen: str = attrs.field(default=CANARY, repr=False)
    urls: tuple[str, ...] = (f"https://host/?token={CANARY}", f"https://host/#{CANARY}", "https://host/x")
    proxy: str = f"me:{CANARY}@host:3128"
    anything: Any = re.compile(CANARY)
    raw: bytes = CANARY.encode()
    place: Path = Path("/data")
    colours: frozenset[Colour] = frozenset({Colour.RED})
    inside: str = attrs.field(default=CANARY, metadata={"internal": True})


def test_no_secret_of_a_plugin_is_there_wherever_it_hides():
    shown = values(Foreign(), "plugins.foreign", "LIGHTPHON_PLUGINS_FOREIGN")
    assert CANARY not in str(shown)
    one = {"url": '"https://...@host/path"', "key": '"..."', "price": "1.5"}
    tables = ("inner", "many.0", 'named."the one"')
    assert shown == {
        **{f"plugins.foreign.{table}.{name}": value for table in tables for name, value in one.items()},
        **{f"FOREIGN_{name.upper()}": value for name, value in one.items()},
        "plugins.foreign.secrets": '["..."]',
        "plugins.foreign.by_name": '{a = "..."}',
        "plugins.foreign.headers": '{Authorization = "...", accept = "all"}',
        "plugins.foreign.api_key": '"..."',
        "plugins.foreign.unseen": '"..."',
        "plugins.foreign.urls": '["https://host/?...", "https://host/?...", "https://host/x"]',
        "plugins.foreign.proxy": '"...@host:3128"',
        "plugins.foreign.anything": '"..."',
        "plugins.foreign.raw": '"..."',
        "plugins.foreign.place": '"/data"',
        "plugins.foreign.colours": '["red"]',
    }
    assert CANARY not in repr(list(in_force(Foreign())))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/a@b", "https://...@b"),  # who knows what stands before it
        (f"postgresql://u:{CANARY}/{CANARY}@{CANARY}@h/d", "postgresql://...@h/d"),
        (f"socks5+x://{CANARY}@h", "socks5+x://...@h"),
        (f"https://u:{CANARY}\n{CANARY}@h/?x={CANARY}\n{CANARY}", "https://...@h/?..."),
        ("alice@example.org", "alice@example.org"),
        ("what? yes", "what? yes"),
        ("", ""),
    ],
)
def test_addresses_lose_what_opens_them(text, shown):
    assert without_credentials(text) == shown
