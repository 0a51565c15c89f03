"""What the demo makes before anything runs: its folder, its settings file, its accounts and their credentials."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from attrs import field, frozen

from lightphon_backend_gguf.node.link.address import is_loopback

USER, OWNER, ADMINISTRATOR = "demo", "demo-node", "admin"
"""Who asks, whose node answers (what one pays, the other earns), and who may log in to the web app."""
PASSWORD_BYTES = 12
CREDIT_SATS = "1000"
MARK = "# Written by `lightphon demo`"
SETTINGS = f"""\
{MARK} at every start.
data_dir = "."

[server]
host = {{host}}
port = {{port}}
shutdown_grace_s = 1

[accounts]
registration = "{{registration}}"
"""
PLAY_MONEY = """
[plugins.lightning]
wallet = "demo"
"""


class Stop(click.ClickException):
    """One line on stderr, then exit status 2."""

    exit_code = 2


@frozen
class Credentials:
    """Keys of both accounts, the token of the node, and the administrator's password."""

    user_key: str = field(repr=False)
    owner_key: str = field(repr=False)
    node_token: str = field(repr=False)
    password: str = field(repr=False)


def has_lightning() -> bool:
    """Whether the Lightning plugin is installed, so that wallets are filled with its play money."""
    return find_spec("lightphon_payment_lightning") is not None


def folder_at(data_dir: Path) -> Path:
    """The demo's folder, made where it is missing. Raises `Stop` where it cannot be used."""
    folder = data_dir.expanduser().absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Stop(f"The data directory {folder} cannot be made: {error.strerror}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Stop(f"The data directory {folder} cannot be written to. Choose another with --data-dir.")
    return folder


def write_settings(file: Path, host: str, port: int, *, play_money: bool) -> None:
    """Write the settings file, over that of an earlier demo alone."""
    if file.exists() and not file.read_text("utf-8", "replace").startswith(MARK):
        raise Stop(f"{file} holds the settings of another server. Choose another directory with --data-dir.")
    # Who is on this machine may register; to strangers the demo is closed, as any server is.
    settings = SETTINGS.format(host=json.dumps(host), port=port, registration="open" if is_loopback(host) else "closed")
    file.write_text(settings + (PLAY_MONEY if play_money else ""), "utf-8")


def make_credentials(cli: click.Group, folder: Path, *, play_money: bool) -> Credentials:
    """New ones; those of the last run are revoked. Where there is no play money, the operator gives some sats."""
    _call(cli, folder, "init")
    known = {account["name"] for account in _call(cli, folder, "account", "list")["accounts"]}
    for name in {USER, OWNER, ADMINISTRATOR} - known:
        _call(cli, folder, "account", "create", name, *(["--admin"] if name == ADMINISTRATOR else []))
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    _printed(cli, folder, "account", "password", ADMINISTRATOR, "--password-stdin", typed=password)
    if USER not in known and not play_money:
        _call(cli, folder, "account", "credit", USER, CREDIT_SATS, "--reason", "to try the demo with")
    for command in ("key", "node-token"):
        (listed,) = (value for value in _call(cli, folder, command, "list").values() if isinstance(value, list))
        for old in listed:
            if old["revoked_at"] is None:
                _call(cli, folder, command, "revoke", old["id"])

    def create(command: str, account: str) -> str:
        return str(_call(cli, folder, command, "create", "--account", account, "--name", "demo")["secret"])

    return Credentials(create("key", USER), create("key", OWNER), create("node-token", OWNER), password)


def _call(cli: click.Group, folder: Path, *arguments: str) -> dict[str, Any]:
    """Another command of `lightphon`, in this process: the demo does nothing that its user could not do."""
    answer: dict[str, Any] = json.loads(_printed(cli, folder, *arguments, "--json"))
    return answer


def _printed(cli: click.Group, folder: Path, *arguments: str, typed: str = "") -> str:
    """The same, as text; `typed` is what it finds on its standard input."""
    printed, stdin = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(typed)
    try:
        with contextlib.redirect_stdout(printed):
            cli.main([*arguments, "--data-dir", str(folder)], standalone_mode=False)
    finally:
        sys.stdin = stdin
    return printed.getvalue()
