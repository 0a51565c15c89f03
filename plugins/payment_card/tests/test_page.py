"""docs/payments-card.md: its settings load, its events are those that are understood, its commands are commands."""

import re
from pathlib import Path

import click
from lightphon_payment_card.events import EVENTS
from lightphon_payment_card.settings import CardSettings

from lightphon_core.cli import build
from lightphon_core.settings import load, plugin_settings

PAGE = (Path(__file__).parents[3] / "docs" / "payments-card.md").read_text("utf-8")
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)


def blocks(kind: str) -> str:
    found = "".join(text for name, text in BLOCKS if name == kind)
    assert found
    return found


def test_the_settings_load(tmp_path):
    (tmp_path / "lightphon.toml").write_text(blocks("toml"))
    environ = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": "whsec_1"}
    settings = plugin_settings(load(tmp_path / "lightphon.toml", {}), "card", CardSettings, environ)
    assert settings.secret_key is not None


def test_it_lists_every_event():
    assert blocks("text").split() == list(EVENTS)


def test_its_commands_are_there():
    typed = [line.split()[1:] for line in blocks("sh").splitlines() if line.startswith("lightphon ")]
    assert typed
    for words in typed:
        group: click.Command | None = build()
        while isinstance(group, click.Group):
            group = group.get_command(click.Context(group), words.pop(0))
        assert group is not None
        options = {name for param in group.params for name in param.opts}
        assert {word for word in words if word.startswith("--")} <= options
