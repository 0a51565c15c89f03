"""What the command line says of the settings of a plugin that is installed."""

import json

from click.testing import CliRunner

from lightphon_core.cli import build


def run(*args):
    return CliRunner().invoke(build(), list(args))


def test_the_reference_has_them():
    core = run("settings", "--core").stdout
    assert "`LIGHTPHON_PLUGINS_GGUF_HEARTBEAT_S`" in run("settings").stdout.removeprefix(core.rstrip("\n"))
    assert "LIGHTPHON_PLUGINS_GGUF_HEARTBEAT_S" not in core


def test_doctor_checks_them(tmp_path):
    data_dir = str(tmp_path / "data")
    assert run("init", "--data-dir", data_dir).exit_code == 0
    (tmp_path / "data" / "lightphon.toml").write_text("[server]\nport = 0\n[plugins.gguf]\nheartbeat_s = 0\n")
    shown = json.loads(run("doctor", "--json", "--data-dir", data_dir).stdout)
    (found,) = [each for each in shown["findings"] if each["check"] == "plugins"]
    assert found["level"] == "problem"
    assert "heartbeat_s must be >= 0.01: 0." in found["what"]
