"""`lightphon doctor`: each finding is made, says what to do, and nothing is changed by looking."""

import http.server
import json
import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from alembic import command
from sqlalchemy import text, update

from lightphon_core.cli.checks import machine
from lightphon_core.cli.checks.backups import check_backups
from lightphon_core.cli.checks.database import check_database
from lightphon_core.cli.checks.finding import Level, ok
from lightphon_core.cli.checks.machine import check_clock, check_disk, check_files
from lightphon_core.cli.checks.network import check_addresses, check_port
from lightphon_core.cli.checks.plugins import strange_to_auto
from lightphon_core.cli.doctor import _readable
from lightphon_core.settings import AccountSettings, ServerSettings
from lightphon_core.storage import room
from lightphon_core.storage.backup_note import NOTE
from lightphon_core.storage.engine import Database
from lightphon_core.storage.location import locate
from lightphon_core.storage.migrations import scripts
from lightphon_core.storage.schema import balances

NOW = datetime(2026, 11, 22, tzinfo=UTC).timestamp()


@pytest.fixture
def doctor(run, monkeypatch):
    """Runs it with --json; its findings that are not ok."""
    monkeypatch.setenv("LIGHTPHON_SERVER_PORT", "0")

    def doctor():
        result = run("doctor", "--json", status=None)
        shown = json.loads(result.stdout)
        assert result.stderr == ""
        assert result.exit_code == (0 if shown["ok"] else 1)
        assert shown["ok"] == ("problem" not in {each["level"] for each in shown["findings"]})
        assert all(each["what"] for each in shown["findings"])
        return [each for each in shown["findings"] if each["level"] != "ok"]

    return doctor


def tree(directory):
    """Every file, its mode, and what is in it."""
    return {
        path.relative_to(directory): (path.stat().st_mode, path.is_file() and path.read_bytes())
        for path in directory.rglob("*")
    }


def said(findings):
    return [(finding.level.value, finding.what) for finding in findings if finding.level is not Level.OK]


def test_a_new_server_is_well(run, doctor, data_dir):
    run("init")
    before = tree(data_dir)
    assert doctor() == []
    assert tree(data_dir) == before
    lines = run("doctor").stdout.splitlines()
    assert {line.split()[0] for line in lines[:-2]} == {"ok"}
    assert {line.split()[1] for line in lines[:-2]} == {
        *("settings", "plugins", "database", "ledger", "backup", "disk", "clock", "files", "address", "port")
    }
    assert lines[-1] == "Found no problems and no warnings."


def test_where_nothing_is_nothing_is_made(doctor, data_dir):
    found = doctor()
    assert [(each["check"], each["level"]) for each in found] == [("database", "warning"), ("files", "warning")]
    assert all("lightphon init" in each["advice"] for each in found)
    assert not data_dir.exists()


def test_settings_that_cannot_be_read(run, doctor, data_dir, monkeypatch):
    run("init")
    (data_dir / "lightphon.toml").write_text("[server]\nprot = 1\n")
    monkeypatch.setenv("LIGHTPHON_SERVER_PRT", "1")
    first, second = doctor()
    assert (first["level"], first["check"]) == ("problem", "settings")
    assert "prot is not a setting; did you mean port?" in first["what"]
    assert "LIGHTPHON_SERVER_PRT is not a setting" in second["what"]
    assert "problem  settings" in run("doctor", status=1).stdout


def test_names_that_mean_nothing(run, doctor, data_dir, monkeypatch):
    run("init")
    config = data_dir / "lightphon.toml"
    config.write_text('[plugins]\nblock = ["zeal"]\n[plugins.scorer]\nx = 1\n')
    monkeypatch.setenv("LIGHTPHON_SERVER_PRT", "1")
    found = doctor()
    assert {each["level"] for each in found} == {"warning"}
    assert [each["what"] for each in found] == [
        "[plugins.scorer] is for a plugin that is not installed; did you mean scorers?",
        "`block` of [plugins] names 'zeal', which is no plugin.",
        "The environment variable LIGHTPHON_SERVER_PRT is not a setting; did you mean LIGHTPHON_SERVER_PORT?",
    ]


def test_plugins_that_cannot_be_used(run, doctor, data_dir):
    run("init")
    (data_dir / "lightphon.toml").write_text("[routing.weights]\nspede = 1")
    (found,) = doctor()
    assert (found["level"], found["check"]) == ("problem", "plugins")
    assert "[routing.weights] names 'spede'" in found["what"]


def garbage(path):
    path.write_text("no database" * 1000)


def damaged(path):
    content = bytearray(path.read_bytes())
    content[40_000:60_000] = os.urandom(20_000)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "level", "message"),
    [
        (garbage, "problem", "cannot be read: file is not a database."),
        (damaged, "problem", "is damaged|cannot be read"),
        (lambda path: path.write_bytes(b""), "warning", "is empty."),
    ],
)
def test_a_file_that_is_no_database(run, doctor, data_dir, make, level, message):
    run("init")
    make(data_dir / "lightphon.db")
    before = tree(data_dir)
    (found,) = doctor()
    assert (found["check"], found["level"]) == ("database", level)
    assert any(words in found["what"] for words in message.split("|"))
    assert found["advice"]
    assert tree(data_dir) == before


def test_databases_of_each_kind(empty_database_url):
    """An empty one, another program's, an older one, a right one, wrong books, other clocks, a newer one."""
    with Database(empty_database_url) as database:

        def execute(statement):
            with database.transaction() as connection:
                connection.execute(statement)

        def found(now=None):
            return list(check_database(empty_database_url, lambda: NOW if now is None else now))

        assert said(found()) == [("warning", f"The database {database.name} is empty.")]
        execute(text("CREATE TABLE strange (x INTEGER)"))
        assert said(found()) == [("problem", f"{database.name} is not a LightPhon database.")]
        execute(text("DROP TABLE strange"))
        with database.transaction() as connection:
            config, directory = scripts()
            config.attributes["connection"] = connection
            before = directory.get_revision("head").down_revision
            command.upgrade(config, before)
        (level, what), *_ = said(found())
        assert level == "warning"
        assert f"has the schema {before}" in what
        with database.transaction() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            now = datetime.now(UTC).timestamp()
        assert said(found(now)) == []
        ((level, what),) = said(found(now - 3600))
        assert (level, "s apart" in what) == ("warning", True)
        row = {"account": "wallet:a:card", "amount": 5, "held": 0, "may_be_negative": False}
        execute(balances.insert().values(row))
        ((level, what),) = said(found(now))
        assert level == "problem"
        assert what.startswith("wallet:a:card: the balance is 5 msat")
        execute(update(balances).values(amount=0))
        execute(text("UPDATE alembic_version SET version_num = '9999'"))
        ((level, what),) = said(found(now))
        assert level == "problem"
        assert "written by a newer LightPhon" in what


@pytest.mark.parametrize("url", ["nonsense", "mysql://x/y", "sqlite://", "postgresql://me:hush@127.0.0.1:9/books"])
def test_urls_that_lead_nowhere(url):
    (found,) = check_database(url, lambda: NOW)
    assert found.level is Level.PROBLEM
    assert found.advice
    assert "hush" not in found.what


def test_a_clock_that_was_never_set():
    assert check_clock(NOW).level is Level.OK
    assert "1970-01-01" in check_clock(0).what
    assert check_clock(0).level is Level.PROBLEM


@pytest.mark.parametrize(
    ("free", "size", "level"),
    [(10**12, 0, "ok"), (5 * 10**8, 0, "warning"), (10**7, 0, "problem"), (3 * 10**9, 2 * 10**9, "warning")],
)
def test_a_disk_that_fills_up(tmp_path, monkeypatch, free, size, level):
    database = tmp_path / "lightphon.db"
    with database.open("wb") as file:
        file.truncate(size)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=free, total=10**12))
    (found,) = check_disk(tmp_path / "not" / "there", database)
    assert found.level.value == level


def test_files_that_others_may_read(tmp_path):
    data_dir, config, database = tmp_path / "data", tmp_path / "data" / "c.toml", tmp_path / "data" / "x.db"
    data_dir.mkdir(mode=0o700)
    for path in (config, database):
        path.touch(mode=0o600)
    gone = data_dir / "gone.db"
    assert said(check_files(data_dir, config, [database, gone])) == []
    for path, mode, level in [
        (data_dir, 0o755, "warning"),
        (data_dir, 0o777, "problem"),
        (config, 0o640, "warning"),
        (config, 0o602, "problem"),
        (database, 0o640, "problem"),
    ]:
        before = path.stat().st_mode
        path.chmod(mode)
        (found,) = check_files(data_dir, config, [database, gone])
        assert (found.level.value, str(path) in found.what) == (level, True)
        assert found.advice.startswith("Run: chmod")
        path.chmod(before)
    file = data_dir / "file"
    file.touch(mode=0o600)
    assert said(check_files(file, None, [])) == [("problem", f"{file} is no directory.")]


def test_secrets_that_others_may_read(tmp_path):
    data_dir, config, secret = tmp_path / "data", tmp_path / "c.toml", tmp_path / "token"
    data_dir.mkdir(mode=0o700)
    for path in (config, secret):
        path.touch(mode=0o600)

    def found():
        return list(check_files(data_dir, config, [], secrets=["server.metrics_token"], secret_files=[secret]))

    assert said(found()) == []
    for path in (config, secret):
        path.chmod(0o644)
    assert said(found()) == [
        ("problem", f"Others may read {config} (644), which holds server.metrics_token."),
        ("problem", f"Others may read {secret} (644), which holds a secret."),
    ]
    assert [each.advice for each in found()] == [f"Run: chmod 600 {path}" for path in (config, secret)]


def test_files_of_root_for_the_servers_group(tmp_path, monkeypatch):
    """As docs/deployment.md installs them: nobody but root may change them, and the server reads them by its group."""
    data_dir, config = tmp_path / "data", tmp_path / "c.toml"
    stats = {data_dir: SimpleNamespace(st_uid=7, st_gid=7, st_mode=0o40700)}
    monkeypatch.setattr(machine, "_unusable", lambda _: iter(()))
    data_dir.mkdir()
    config.touch()
    real = type(config).stat
    monkeypatch.setattr(type(config), "stat", lambda path, **options: stats.get(path) or real(path, **options))
    for uid, gid, mode, close in [
        (0, 7, 0o640, None),
        (0, 8, 0o640, "600"),
        (7, 7, 0o640, "600"),
        (0, 7, 0o644, "640"),
    ]:
        stats[config] = SimpleNamespace(st_uid=uid, st_gid=gid, st_mode=0o100000 | mode)
        found = [each for each in check_files(data_dir, config, [], secrets=["x"]) if each.level is not Level.OK]
        assert [each.advice for each in found] == ([f"Run: chmod {close} {config}"] if close else [])


def test_secrets_of_every_kind_are_found(run, doctor, data_dir):
    run("init")
    config, token = data_dir / "lightphon.toml", data_dir / "token"
    config.write_text('[server]\nmetrics_token = { file = "token" }\n')
    token.write_text("0123456789abcdef")
    config.chmod(0o600)
    token.chmod(0o604)
    assert [each["what"] for each in doctor()] == [f"Others may read {token} (604), which holds a secret."]
    token.chmod(0o600)
    config.write_text('[server]\nmetrics_token = "0123456789abcdef"\n')
    assert doctor() == []
    config.chmod(0o644)
    assert [each["what"] for each in doctor()] == [f"Others may read {config} (644), which holds server.metrics_token."]


def test_what_auto_leaves_out():
    def found(*names):
        return list(strange_to_auto(names, ["gguf", "http"], ["accounts", "gguf", "openclaw"]))

    assert found("gguf", "HTTP") == []
    (slip,) = found("ggfu")
    assert (slip.level, slip.what) == (
        Level.WARNING,
        "`not_in_auto` of [routing] names 'ggfu', which is no backend now; did you mean gguf?",
    )
    assert "The backends are gguf, http." in slip.advice
    (absent,) = found("OpenClaw")  # which has nobody to ask
    assert (absent.level, "'OpenClaw', which is no backend now." in absent.what) == (Level.WARNING, True)
    (nodes,) = found("my-4090", "gguf", "attic")
    assert (nodes.level, nodes.what.endswith(": my-4090, attic.")) == (Level.OK, True)


def test_what_auto_leaves_out_is_looked_at(run, doctor, data_dir):
    run("init")
    (data_dir / "lightphon.toml").write_text('[routing]\nnot_in_auto = ["scorers"]\n')
    assert ["'scorers', which is no backend" in each["what"] for each in doctor()] == [True]


def test_strangers_without_limits(run, doctor, data_dir, monkeypatch):
    run("init")
    (data_dir / "lightphon.toml").write_text(
        '[accounts]\nregistration = "open"\n[server]\npublic_url = "http://localhost"\n'
    )
    (found,) = doctor()
    assert (found["check"], found["level"]) == ("accounts", "warning")
    assert "[limits]" in found["advice"]
    monkeypatch.setenv("LIGHTPHON_LIMITS_CONCURRENT_REQUESTS", "4")
    assert doctor() == []


def test_backups_of_each_age(run, data_dir, tmp_path):
    run("account", "create", "alice")
    location, now = locate(f"sqlite:///{data_dir}/lightphon.db"), datetime.now(UTC)

    def found(days):
        (finding,) = check_backups(location, data_dir, now + timedelta(days=days))
        return finding

    assert (found(0).level, found(7).level) == (Level.OK, Level.OK)
    assert found(9).level is Level.WARNING
    assert f"there are accounts since {now:%Y-%m-%d}" in found(9).what
    assert "lightphon backup FILE" in found(9).advice
    file = tmp_path / "copy.db"
    run("backup", str(file))
    assert (data_dir / NOTE).stat().st_mode & 0o777 == 0o600
    assert (found(7).level, found(9).level) == (Level.OK, Level.WARNING)
    assert str(file) in found(9).what
    for broken in ("", "[]", '{"file": 1}', '{"file": "x", "at": 5}', '{"file": "x", "at": "no"}'):
        (data_dir / NOTE).write_text(broken)
        assert "No `lightphon backup` was made" in found(9).what
    assert list(check_backups(locate(f"sqlite:///{tmp_path}/none.db"), data_dir, now)) == []
    assert list(check_backups(locate("postgresql://me@127.0.0.1:9/x"), data_dir, now)) == []
    garbage(data_dir / "lightphon.db")
    (data_dir / NOTE).unlink()
    assert found(9).level is Level.OK  # what is wrong with the database is said elsewhere


def test_what_may_not_even_be_looked_at():
    def forbidden():
        yield ok("files", "one is well")
        raise PermissionError(13, "Permission denied", "/secret")

    first, second = _readable("files", forbidden())
    assert (first.level, second.level) == (Level.OK, Level.PROBLEM)
    assert second.what == "/secret: Permission denied."


def test_files_that_root_left(tmp_path, monkeypatch):
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    file = data_dir / "x.db"
    file.touch(mode=0o600)
    if os.geteuid() == 0:
        os.chown(data_dir, 1, 1)
    else:
        monkeypatch.setattr(machine, "_owner", lambda path: 0 if path == file else os.geteuid())
    ((level, what),) = said(check_files(data_dir, None, [file]))
    assert level == "problem"
    assert "belongs to another user" in what


HTTPS = "https://your.host"


@pytest.mark.parametrize(
    ("server", "registration", "expected"),
    [
        ({}, "closed", []),
        ({"host": "::1"}, "closed", []),
        ({"host": "localhost"}, "open", ["warning"]),
        ({"host": "0.0.0.0"}, "closed", ["warning"]),
        ({"host": "0.0.0.0"}, "invite", ["problem"]),
        ({"host": "10.0.0.1", "public_url": "http://10.0.0.1"}, "closed", ["problem"]),
        ({"public_url": "http://localhost:8000"}, "open", []),
        ({"public_url": HTTPS}, "open", ["warning"]),
        ({"public_url": HTTPS, "trusted_proxies": ("127.0.0.1",)}, "open", []),
        ({"public_url": HTTPS, "trusted_proxies": ("::/0",)}, "open", ["problem"]),
    ],
)
def test_addresses(server, registration, expected):
    found = list(check_addresses(ServerSettings(**server), AccountSettings(registration=registration)))
    assert [finding.level.value for finding in found] == (expected or ["ok"])


class Other(http.server.BaseHTTPRequestHandler):
    """Another program that speaks HTTP."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status":"ok"}')

    def log_message(self, *arguments):
        pass


def test_ports(start_server):
    server = start_server()
    port = int(server.url.rpartition(":")[2])
    assert check_port("127.0.0.1", port).what == f"LightPhon answers on 127.0.0.1 port {port}."
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            found = check_port("127.0.0.1", other.server_port)
        finally:
            other.shutdown()
            thread.join()
        assert found.level is Level.PROBLEM
        assert "is in use by another program" in found.what
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    assert check_port("127.0.0.1", free).what == f"Port {free} on 127.0.0.1 is free."
    assert check_port("127.0.0.1", 0).level is Level.OK
    assert check_port("192.0.2.1", free).level is Level.PROBLEM
