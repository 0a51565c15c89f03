"""docs/payments.md: its settings load, one for each wallet; its commands are commands."""

import re
from pathlib import Path

import click
import pytest
from lightphon_payment_lightning.settings import LightningSettings, WalletKind

from lightphon_core.cli import build
from lightphon_core.settings import load, plugin_settings

PAGE = (Path(__file__).parents[3] / "docs" / "payments.md").read_text("utf-8")
TOML = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SHELL = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize("block", TOML, ids=range(len(TOML)))
def test_the_settings_load(tmp_path, block):
    for name in ("lightphon.macaroon.hex", "lightphon.rune"):
        (tmp_path / name).write_text("0123456789abcdef\n")
    (tmp_path / "lightphon.toml").write_text(block)
    environ = dict.fromkeys(re.findall(r'env = "(\w+)"', block), "0123456789abcdef")
    settings = load(tmp_path / "lightphon.toml", {})
    assert plugin_settings(settings, "lightning", LightningSettings, environ).wallet is not None


def test_every_wallet_is_there():
    assert {match[1] for match in re.finditer(r'^wallet = "(\w+)"', "".join(TOML), re.MULTILINE)} == set(WalletKind)


def test_its_commands_are_there():
    typed = [line.split()[1:] for line in SHELL.splitlines() if line.startswith("lightphon ")]
    assert typed
    for words in typed:
        group: click.Command | None = build()
        while isinstance(group, click.Group):
            group = group.get_command(click.Context(group), words.pop(0))
        assert group is not None
