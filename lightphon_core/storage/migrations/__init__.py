"""The migrations, one for each schema, and Alembic's view of them."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory


def scripts() -> tuple[Config, ScriptDirectory]:
    """The migrations, and the configuration to run them with."""
    config = Config(attributes={})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)
