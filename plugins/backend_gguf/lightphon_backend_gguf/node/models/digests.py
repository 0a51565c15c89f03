"""The sha256 of model files. Reading tens of gigabytes takes minutes, so what was computed once is kept in a file."""

import asyncio
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

_PIECE = 4 * 2**20


class Digests:
    """Digests of files, remembered by path, size and time of change in `sha256.json` of the directory.

    A directory that cannot be written costs only time.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "sha256.json"

    async def of(self, path: Path) -> str | None:
        """The sha256 of a file as hexadecimal digits; None if it cannot be read, or changes meanwhile."""
        given_up = threading.Event()
        try:
            return await asyncio.to_thread(self._of, path, given_up)
        finally:
            given_up.set()

    def _of(self, path: Path, given_up: threading.Event) -> str | None:
        name = str(path.absolute())
        known = self._known()
        try:
            stamp = _stamp(path)
            match known.get(name):
                case [size, changed, str() as kept] if [size, changed] == stamp:
                    return kept
            digest = _sha256(path, given_up)
            if digest is None or _stamp(path) != stamp:
                return None
        except OSError:
            return None
        self._keep({**known, name: [*stamp, digest]})
        return digest

    def _known(self) -> dict[str, Any]:
        try:
            known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _keep(self, known: dict[str, Any]) -> None:
        new = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.write_text(json.dumps(known))
            new.replace(self._file)
        except OSError:
            return


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _sha256(path: Path, given_up: threading.Event) -> str | None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            if given_up.is_set():
                return None
            digest.update(piece)
    return digest.hexdigest()
