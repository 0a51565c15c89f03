"""Whether the disk has room, the clock is right, and the files are nobody else's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lightphon_core.cli.checks.finding import Finding, ok, problem, warning
from lightphon_core.storage.room import Verdict, room_of

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Older than this program: a clock that says so was never set."""

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


def check_clock(now: float) -> Finding:
    """`now` is in seconds since 1970."""
    if now < EARLIEST.timestamp():
        return problem(
            "clock",
            f"This machine's clock says {datetime.fromtimestamp(now, UTC):%Y-%m-%d}.",
            "Set it by NTP: leases, sessions and the journal run on it.",
        )
    return ok("clock", f"It is {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC.")


def check_disk(directory: Path, database: Path | None) -> Iterator[Finding]:
    """Whether there is room for the database to grow, and for a copy of it."""
    room = room_of(directory, database)
    free = f"{room.free / 1e9:.1f} GB" if room.free >= 1e9 else f"{room.free // 1_000_000} MB"
    what = f"{free} are free on the disk of {directory}"
    if room.verdict is Verdict.FULL:
        yield problem("disk", f"{what}: too little to go on.", "Free some space: a full disk stops every request.")
    elif room.verdict is Verdict.LITTLE:
        yield warning("disk", f"{what}: little to grow and for a backup.", "Free some space.")
    else:
        yield ok("disk", f"{what}.")


def check_files(
    data_dir: Path,
    config: Path | None,
    private: Iterable[Path],
    *,
    secrets: Sequence[str] = (),
    secret_files: Sequence[Path] = (),
) -> Iterator[Finding]:
    """Who may read and write them. `private` are the database and copies of it; those that are missing do not count.
    `secrets` are the settings whose secrets stand in `config`, `secret_files` what it refers to for others."""
    try:
        owner = _owner(data_dir)
    except FileNotFoundError:
        yield warning("files", f"There is no data directory {data_dir} yet.", "Run `lightphon init`.")
        return
    except OSError as error:
        yield problem("files", f"{data_dir}: {error.strerror}.", "Run this as the user that LightPhon runs as.")
        return
    if found := list(_unusable(data_dir)):
        yield from found
        return
    private = list(private)
    found = [
        *_open_to_others(data_dir, private),
        *_told(data_dir, config, secrets, secret_files),
        *_foreign(data_dir, owner, private),
    ]
    yield from found
    if not found:
        yield ok("files", f"{data_dir} and the files in it are their owner's alone.")


def _unusable(data_dir: Path) -> Iterator[Finding]:
    if not data_dir.is_dir():
        yield problem("files", f"{data_dir} is no directory.", "Set `data_dir`, or use --data-dir.")
    elif not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        yield problem(
            "files", f"You may not write to {data_dir}.", "Run LightPhon, and this, as the user that it belongs to."
        )


def _open_to_others(data_dir: Path, private: Sequence[Path]) -> Iterator[Finding]:
    if (mode := _mode(data_dir)) & OTHERS_WRITE:
        yield problem("files", f"Others may write to {data_dir} ({mode:03o}).", f"Run: chmod 700 {data_dir}")
    elif mode & 0o077:
        yield warning("files", f"Others may look into {data_dir} ({mode:03o}).", f"Run: chmod 700 {data_dir}")
    for path in private:
        if path.exists() and (mode := _mode(path)) & 0o077:
            yield problem("files", f"Others may read {path} ({mode:03o}).", f"Run: chmod 600 {path}")


def _told(
    data_dir: Path, config: Path | None, secrets: Sequence[str], secret_files: Sequence[Path]
) -> Iterator[Finding]:
    """The settings file and what it refers to. They may be root's, and readable for the server's group alone."""
    if config is not None and config.exists():
        mode, close = _mode(config), _to_close(config, data_dir)
        if mode & OTHERS_WRITE:
            yield problem("files", f"Others may write to {config} ({mode:03o}).", close)
        elif _others_read(config, data_dir) and secrets:
            yield problem("files", f"Others may read {config} ({mode:03o}), which holds {', '.join(secrets)}.", close)
        elif _others_read(config, data_dir):
            advice = f"{close}, or keep secrets in files of their own."
            yield warning("files", f"Others may read {config} ({mode:03o}), where secrets may stand.", advice)
    for path in secret_files:
        if path.exists() and _others_read(path, data_dir):
            what = f"Others may read {path} ({_mode(path):03o}), which holds a secret."
            yield problem("files", what, _to_close(path, data_dir))


def _others_read(path: Path, data_dir: Path) -> bool:
    return bool(_mode(path) & (stat.S_IROTH if _is_roots_for_the_server(path, data_dir) else OTHERS_READ))


def _to_close(path: Path, data_dir: Path) -> str:
    return f"Run: chmod {'640' if _is_roots_for_the_server(path, data_dir) else '600'} {path}"


def _is_roots_for_the_server(path: Path, data_dir: Path) -> bool:
    """Whether the server reads it by its group alone: `install -m 640 -g lightphon`."""
    file, server = path.stat(), data_dir.stat()
    return file.st_uid == 0 != server.st_uid and file.st_gid == server.st_gid


def _foreign(data_dir: Path, owner: int, private: Sequence[Path]) -> Iterator[Finding]:
    """Files that the server may not be able to use: whoever ran a command as root left them."""
    for path in private:
        if path.exists() and _owner(path) != owner:
            advice = f"Run: chown --reference={data_dir} {path}"
            yield problem("files", f"{path} belongs to another user than {data_dir}.", advice)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _owner(path: Path) -> int:
    return path.stat().st_uid
