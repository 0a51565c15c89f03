"""Runs the command line in this process, on a data directory of the test's own."""

import os

import pytest
from click.testing import CliRunner

from lightphon_core.cli import build


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def run(data_dir, monkeypatch):
    """Runs a command line with this test's data directory. `status` is what it must end with; None is any."""
    for name in [name for name in os.environ if name.startswith("LIGHTPHON_")]:
        monkeypatch.delenv(name)

    def run(*args, status=0, stdin=None):
        result = CliRunner().invoke(build(), [*args, "--data-dir", str(data_dir)], input=stdin)
        assert status is None or result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run
