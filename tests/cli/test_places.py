"""Places that cannot be used: one line that says what happened to what, and what to do about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lightphon_core.cli import build
from lightphon_core.web.server import AddressError, bind


def test_a_place_that_may_not_be_read_is_our_own_business(run, data_dir, monkeypatch):
    run("init")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read anything
    assert "You may not write to" in run("doctor", status=1).stdout
    run("key", "list")


def test_plugins_are_listed_wherever_the_database_is(run, data_dir, monkeypatch):
    assert "accounts" in run("plugins").stdout
    assert not data_dir.exists()
    monkeypatch.setenv("LIGHTPHON_STORAGE_URL", "postgresql://me@127.0.0.1:9/books")
    assert "accounts" in run("plugins").stdout


@pytest.mark.parametrize("option", ["--data-dir", "--config"])
def test_a_place_that_is_empty(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(build(), ["init", option, ""])
    assert (refused.exit_code, f"'{option}'" in refused.stderr, "It is empty." in refused.stderr) == (2, True, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["account", "create", "alice"], ["serve", "--port", "0"]])
def test_a_directory_that_is_a_file(run, data_dir, command):
    data_dir.touch()
    refused = run(*command, status=2)
    assert f"The database {data_dir / 'lightphon.db'} cannot be opened for writing: " in refused.stderr
    assert refused.stderr.endswith("A file is in the place of a directory.\n")


def test_a_database_that_may_not_be_opened(run, data_dir, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    run("init")
    monkeypatch.setattr("lightphon_core.storage.sqlite.os.open", refuse)
    assert run("key", "list", status=2).stderr.endswith(
        "lightphon.db cannot be opened for writing: Permission denied. Run this as the user that LightPhon runs as.\n"
    )


@pytest.mark.parametrize("command", ["account list", "account invite", "key list", "node-token list", "ledger verify"])
def test_nothing_is_made_where_a_command_was_led_to_the_wrong_place(run, data_dir, tmp_path, command):
    refused = run(*command.split(), status=2).stderr
    assert refused.startswith(f"Error: There is no database {data_dir / 'lightphon.db'}. ")
    assert "--data-dir" in refused
    assert "`lightphon init`" in refused
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_our_tables_is_made_by_init_alone(run, empty_database_url, monkeypatch):
    monkeypatch.setenv("LIGHTPHON_STORAGE_URL", empty_database_url)
    assert "`lightphon init`" in run("key", "list", status=2).stderr
    run("init")
    assert "No API keys in" in run("key", "list").stderr


def test_what_is_no_text(run):
    """The shell passes any bytes on."""
    strange = "\udcff\udcfe"
    run("account", "create", "alice")
    for command in (
        ["key", "list", "--account", strange],
        ["ledger", "show", strange],
        ["deposit", "list", "--key", strange],
        ["deposit", "list", "--key", "x", "--server", strange],
    ):
        refused = CliRunner().invoke(build(), command) if command[0] == "deposit" else run(*command, status=2)
        assert refused.exit_code == 2
        assert refused.stderr in (
            "Error: Something in the command or the environment has bytes that are no UTF-8 text.\n",
            "Error: There is no account named '\\udcff\\udcfe'.\n",
        )
    assert "at least" in run("account", "password", "alice", stdin="short\nlong password\nlong password\n").stdout


def test_a_full_disk_behind_stdout(run, data_dir):
    run("account", "create", "alice")
    command = [sys.executable, "-m", "lightphon_core", "account", "list", "--data-dir", data_dir]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: No space left on device. Free some space there.\n")


def test_no_address_to_listen_on(run):
    assert run("serve", "--host", "", status=2).stderr == (
        "Error: --host is empty. Name an address to listen on, or leave it out.\n"
    )
    with pytest.raises(AddressError, match=r"It is no address of this machine: .* 0\.0\.0\.0 stands for all\."):
        bind("192.0.2.1", 0)
