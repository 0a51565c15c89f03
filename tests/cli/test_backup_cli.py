"""`lightphon backup`, `restore` and `doctor` beside a real server, its end on SIGHUP; and `lightphon settings`."""

import json
import os
import signal
import subprocess
import sys
import threading
from functools import partial

import alembic.command
import pytest
from click.testing import CliRunner

from lightphon_core.cli import build
from lightphon_core.cli.serve import _stop_on_hangup
from lightphon_core.settings import markdown
from lightphon_core.storage import backup as backup_module
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrations import scripts

PATIENCE_S = 60


@pytest.fixture
def serve(run, data_dir):
    """A real `lightphon serve` on a free port; the lines that it logs."""
    run("init")
    with (data_dir / "lightphon.toml").open("a") as config:
        config.write("\n[plugins.scorer]\nx = 1\n")
    environ = {**os.environ, "LIGHTPHON_SERVER_PORT": "0", "LIGHTPHON_LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "lightphon_core", "serve", "--data-dir", str(data_dir)]
    # Tests that run under nohup would hand down that it is ignored.
    hears_hangups = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ, preexec_fn=hears_hangups) as process:
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        yield process, (json.loads(line) for line in process.stderr)
        watchdog.cancel()
        process.kill()


def accounts(run):
    return [each["name"] for each in json.loads(run("account", "list", "--json").stdout)["accounts"]]


def test_beside_a_server(run, serve, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(backup_module, "LOCK_TIMEOUT_S", 0.01)
    process, lines = serve
    strange = next(lines)
    assert (strange["level"], strange["event"]) == ("warning", "setting sets nothing")
    assert strange["problem"] == "[plugins.scorer] is for a plugin that is not installed; did you mean scorers?"
    listening = next(line for line in lines if line["event"] == "listening")
    port = int(listening["url"].rpartition(":")[2])
    file = tmp_path / "copy.db"
    run("account", "create", "alice")
    made = json.loads(run("backup", str(file), "--json").stdout)
    assert made == {"file": str(file), "bytes": file.stat().st_size, "schema": "0011"}
    assert "already" in run("backup", str(file), status=2).stderr
    run("account", "create", "bob")
    assert "is in use. Stop `lightphon serve`" in run("restore", str(file), status=2).stderr
    monkeypatch.setenv("LIGHTPHON_SERVER_PORT", str(port))
    found = {each["check"]: each for each in json.loads(run("doctor", "--json").stdout)["findings"]}
    assert found["port"]["what"] == f"LightPhon answers on 127.0.0.1 port {port}."
    assert {each["level"] for name, each in found.items() if name != "settings"} == {"ok"}
    assert found["settings"]["what"] == strange["problem"]

    process.send_signal(signal.SIGHUP)
    assert "stopped" in [line["event"] for line in lines]
    assert process.wait(PATIENCE_S) == 0
    assert accounts(run) == ["alice", "bob"]
    printed = run("restore", str(file)).stdout
    (kept,) = data_dir.glob("lightphon-replaced-*.db")
    assert str(kept) in printed
    assert accounts(run) == ["alice"]
    assert json.loads(run("restore", str(kept), "--json").stdout)["replaced"] is not None
    assert accounts(run) == ["alice", "bob"]


def test_a_command_that_migrates_makes_a_backup_and_says_so_on_stderr(data_dir):
    with Database(f"sqlite:///{data_dir}/lightphon.db") as database, database.transaction() as connection:
        config, directory = scripts()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, directory.get_revision("head").down_revision)
    command = [sys.executable, "-m", "lightphon_core", "account", "list", "--json", "--data-dir", data_dir]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert json.loads(done.stdout) == {"accounts": []}
    (made,) = (data_dir / "backups").iterdir()
    assert str(made) in done.stderr


def test_all_that_can_be_set(run):
    printed = CliRunner().invoke(build(), ["settings"]).stdout
    core = CliRunner().invoke(build(), ["settings", "--core"]).stdout
    assert core == markdown({})
    assert printed.startswith(core.rstrip("\n"))


def test_a_hang_up_that_is_ignored_stays_so():
    """As under nohup, which is how a server outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _stop_on_hangup(None)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_postgresql_has_its_own(run, monkeypatch, tmp_path):
    monkeypatch.setenv("LIGHTPHON_STORAGE_URL", "postgresql://me:hush@db.example.org/books")
    for command, instead in (
        ("backup", "pg_dump --format=custom --file={} --dbname=postgresql://db.example.org/books"),
        ("restore", "pg_restore --clean --if-exists --dbname=postgresql://db.example.org/books {}"),
    ):
        shown = run(command, str(tmp_path / "file"), status=2).stderr
        assert instead.format(tmp_path / "file") in shown
        assert "hush" not in shown
        assert shown.count("\n") == 1
