"""`lightphon init`: what it makes, what it leaves alone, and that every command then finds it."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import tomllib

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from sqlalchemy import text

from lightphon_core.cli import build
from lightphon_core.storage.engine import Database

PATIENCE_S = 60
PASSWORD = "correct horse"


def modes(directory):
    found = {path.name: oct(path.stat().st_mode & 0o777) for path in directory.iterdir()}
    return {"": oct(directory.stat().st_mode & 0o777), **found}


def administrators(data_dir):
    query = text("SELECT name, password_hash FROM accounts WHERE admin_since IS NOT NULL")
    with Database(f"sqlite:///{data_dir}/lightphon.db") as database, database.snapshot() as connection:
        return {row.name: row.password_hash for row in connection.execute(query)}


def test_all_that_a_server_needs(run, data_dir):
    printed = run("init", "--admin", "root", "--password-stdin", stdin=f"{PASSWORD}\n").stdout
    assert modes(data_dir) == {"": "0o700", "lightphon.toml": "0o600", "lightphon.db": "0o600"}
    assert PasswordHasher().verify(administrators(data_dir)["root"], PASSWORD)
    assert PASSWORD not in printed
    assert tomllib.loads((data_dir / "lightphon.toml").read_text())["data_dir"] == "."
    states = re.findall(r"^([A-Z].{14}) (made|there already|none yet)", printed, re.MULTILINE)
    assert [state for _, state in states] == ["made"] * 4
    steps = re.findall(r"^  lightphon (.*?)  +\S", printed, re.MULTILINE)
    where = f"--data-dir {data_dir}"
    assert steps == [
        f"serve {where}",
        f"key create --account root {where}",
        f"node-token create --account root {where}",
        f"doctor {where}",
    ]
    for step in steps[1:3]:
        assert CliRunner().invoke(build(), step.split()).exit_code == 0


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:8000/"), ("::", "http://[::1]:8000/"), ("box", "http://box:8000/")],
)
def test_the_web_app_is_where_a_browser_finds_it(run, data_dir, monkeypatch, host, address):
    monkeypatch.setenv("LIGHTPHON_SERVER_HOST", host)
    assert f"the web app is at {address}\n" in run("init").stdout


def test_what_is_there_stays(run, data_dir):
    run("account", "create", "alice")
    run("account", "create", "root", "--admin")
    config = data_dir / "lightphon.toml"
    config.write_text("# mine\n[server]\nport = 9000\n")
    before = config.read_bytes(), (data_dir / "lightphon.db").read_bytes()
    shown = json.loads(run("init", "--json").stdout)
    assert shown == {
        "data_dir": str(data_dir),
        "config": str(config),
        "database": str(data_dir / "lightphon.db"),
        "admin": "root",
        "made": [],
    }
    assert "http://127.0.0.1:9000" in run("init", "--admin", "root").stdout
    assert (config.read_bytes(), (data_dir / "lightphon.db").read_bytes()) == before
    assert "alice already, and it is no administrator" in run("init", "--admin", "alice", status=2).stderr
    config.unlink()
    assert json.loads(run("init", "--json").stdout)["made"] == ["settings file"]


def test_without_a_terminal_nobody_is_asked(run, data_dir):
    assert json.loads(run("init", "--json").stdout)["made"] == ["data directory", "settings file", "database"]
    assert "lightphon init --admin NAME" in run("init").stdout
    assert "Give it on stdin" in run("init", "--admin", "root", status=2).stderr
    assert administrators(data_dir) == {}


@pytest.mark.parametrize(
    ("args", "password", "message"),
    [
        (["--password-stdin"], PASSWORD, "--password-stdin needs --admin NAME"),
        (["--admin", "root", "--password-stdin"], "short", "at least 10"),
        (["--admin", "a b", "--password-stdin"], PASSWORD, "A name has 1 to 64 letters"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(run, data_dir, args, password, message):
    assert message in run("init", *args, stdin=f"{password}\n", status=2).stderr
    assert not data_dir.exists()


@pytest.mark.parametrize("name", ["a b", "ü", "100%41", "what?", "a#b", "@host:1", "'quoted'"])
def test_a_directory_of_any_name(run, data_dir, tmp_path, name):
    place = tmp_path / name
    arguments = ["init", "--admin", "root", "--password-stdin", "--json"]
    environ = {"LIGHTPHON_DATA_DIR": str(place)}
    made = CliRunner().invoke(build(), arguments, input=f"{PASSWORD}\n", env=environ)
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["database"] == str(place / "lightphon.db")
    assert {each.name for each in place.iterdir()} == {"lightphon.toml", "lightphon.db"}
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_places_that_cannot_be_used(run, data_dir, tmp_path):
    data_dir.write_text("a file")
    assert "is no directory" in run("init", status=2).stderr
    data_dir.unlink()
    (tmp_path / "file").touch()
    config = str(tmp_path / "file" / "x.toml")
    assert "x.toml" in run("init", "--config", config, status=2).stderr


def test_a_settings_file_elsewhere(run, data_dir, tmp_path, monkeypatch):
    config = tmp_path / "etc" / "lightphon.toml"
    printed = run("init", "--config", str(config)).stdout
    assert tomllib.loads(config.read_text())["data_dir"] == str(data_dir)
    assert not (data_dir / "lightphon.toml").exists()
    assert f"lightphon serve --config {config}" in printed
    # It says where the data is, so nothing else has to.
    assert CliRunner().invoke(build(), ["account", "create", "alice", "--config", str(config)]).exit_code == 0
    assert [each["name"] for each in json.loads(run("account", "list", "--json").stdout)["accounts"]] == ["alice"]


def test_the_settings_in_the_data_directory_are_everybodys(run, data_dir, tmp_path, monkeypatch):
    run("init")
    elsewhere = tmp_path / "elsewhere.db"
    (data_dir / "lightphon.toml").write_text('[storage]\nurl = "sqlite:///' + str(elsewhere) + '"\n')
    run("account", "create", "alice")
    assert elsewhere.exists()
    # However the directory is named, and also where the file is another's.
    monkeypatch.setenv("LIGHTPHON_DATA_DIR", str(data_dir))
    assert "alice" in CliRunner().invoke(build(), ["account", "list"]).stdout
    other = tmp_path / "other.toml"
    other.write_text("")
    assert "No accounts" in run("account", "list", "--config", str(other)).stderr
    (data_dir / "lightphon.toml").write_text("prot = 1")
    assert "prot is not a setting" in run("account", "list", status=2).stderr
    run("account", "list", "--config", str(other))


class Terminal:
    """A process on a terminal, and what it shows."""

    def __init__(self, *command):
        self._ours, theirs = pty.openpty()
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTPHON_")}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environ
        )
        os.close(theirs)
        self.shown = ""

    def wait_for(self, words):
        while words not in self.shown:
            ready, _, _ = select.select([self._ours], [], [], PATIENCE_S)
            assert ready, f"nothing more than {self.shown!r}"
            self.shown += os.read(self._ours, 4096).decode()
        _, _, rest = self.shown.partition(words)
        self.shown = rest

    def type(self, line):
        os.write(self._ours, f"{line}\n".encode())

    def end(self):
        self.process.wait(PATIENCE_S)
        os.close(self._ours)
        return self.process.returncode


def test_at_a_terminal_it_asks(data_dir):
    terminal = Terminal(sys.executable, "-m", "lightphon_core", "init", "--data-dir", str(data_dir))
    terminal.wait_for("Name of the administrator [admin]: ")
    terminal.type("a b")
    terminal.wait_for("Error: A name has 1 to 64")
    terminal.wait_for("Name of the administrator [admin]: ")
    terminal.type("")
    terminal.wait_for("Password (10 characters or more): ")
    terminal.type("short")
    terminal.wait_for("Password (10 characters or more): ")
    terminal.type(PASSWORD)
    terminal.wait_for("Repeat for confirmation: ")
    terminal.type(PASSWORD)
    terminal.wait_for("Administrator   made")
    terminal.wait_for("checks all of this")
    assert PASSWORD not in terminal.shown
    assert terminal.end() == 0
    assert PasswordHasher().verify(administrators(data_dir)["admin"], PASSWORD)
