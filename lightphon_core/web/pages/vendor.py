"""Brings the scripts that `vendor.toml` names into assets/vendor/, with their licences.

`.ci/hatch_build.py` calls it whenever the wheel is built, also for an editable install. It runs as a script too
(`python -m lightphon_core.web.pages.vendor`). It stands by itself: where wheels are built nothing else is installed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PINS = Path(__file__).with_name("vendor.toml")
FOLDER = Path(__file__).with_name("assets") / "vendor"
RECORD = "installed.json"
"""Written last: the integrity of the pins that were followed, and of each file that is there because of them."""
PATIENCE_S = 90


class VendorError(Exception):
    """What npm gave is not what was pinned. Nothing of it was kept."""


class NotBrought(Exception):
    """There is no npm, or it could not bring a package."""


class Package(NamedTuple):
    """One of npm's packages. `integrity` is that of its tarball; `files` maps names in it to ours."""

    name: str
    version: str
    integrity: str
    files: Mapping[str, str]


def read_pins(text: str) -> list[Package]:
    """The packages that a pin file names."""
    return [Package(name, pin["version"], pin["integrity"], pin["files"]) for name, pin in tomllib.loads(text).items()]


def integrity_of(data: bytes) -> str:
    """A SHA-512 as npm writes it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


def is_current(pins: bytes, folder: Path) -> bool:
    """Whether all that these pins name is in the folder, as it was brought."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
        return record["pins"] == integrity_of(pins) and all(
            integrity_of((folder / name).read_bytes()) == integrity for name, integrity in record["files"].items()
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):  # not there, or cut off
        return False


def bring(pins_file: Path = PINS, folder: Path = FOLDER) -> bool:
    """Have everything in `folder` that the pins name; false where it was there already.

    Raises:
        NotBrought: npm is missing or failed, or the folder cannot be written. What was there before is gone: it is
            another version.
        VendorError: a tarball is not what was pinned, or lacks a file.
    """
    pins = pins_file.read_bytes()
    if is_current(pins, folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    brought: dict[str, bytes] = {}
    for package in read_pins(pins.decode()):
        tarball = _pack(package)
        if integrity_of(tarball) != package.integrity:
            raise VendorError(
                f"{package.name}@{package.version} from npm is not what vendor.toml pins: its integrity is "
                f"{integrity_of(tarball)}. Find out why before changing the pin."
            )
        brought |= _unpacked(package, tarball)
    record = {"pins": integrity_of(pins), "files": {name: integrity_of(data) for name, data in brought.items()}}
    try:
        folder.mkdir(parents=True)
        for name, data in brought.items():
            (folder / name).write_bytes(data)
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    except OSError as error:
        raise NotBrought(f"{folder} cannot be written: {error.strerror}.") from None
    return True


def _pack(package: Package) -> bytes:
    """The package's tarball, from wherever npm gets it."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotBrought("There is no npm. Install Node 20 or newer.")
    with tempfile.TemporaryDirectory() as into:
        command = [npm, "pack", f"{package.name}@{package.version}", "--pack-destination", into]
        options = ["--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--loglevel=error"]
        try:
            subprocess.run(  # noqa: S603 - of our own pins
                [*command, *options], cwd=into, check=True, capture_output=True, timeout=PATIENCE_S, text=True
            )
            (tarball,) = Path(into).glob("*.tgz")
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().partition("\n")[0].removeprefix("npm error ")
            raise NotBrought(f"npm could not bring {package.name}@{package.version} ({said[:200]}).") from None
        return tarball.read_bytes()


def _unpacked(package: Package, tarball: bytes) -> dict[str, bytes]:
    """The files that are taken of a package, by the names that they get."""
    found: dict[str, bytes] = {}
    with tempfile.TemporaryFile() as file:
        file.write(tarball)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            for name, ours in package.files.items():
                try:
                    content = archive.extractfile(f"package/{name}")
                except KeyError:
                    content = None
                if content is None:
                    raise VendorError(f"{package.name}@{package.version} has no file {name}.")
                found[ours] = content.read()
    return found


def main() -> int:
    """Bring them, and say how it went."""
    try:
        print("brought" if bring() else "all there already", "in", FOLDER)
    except (NotBrought, VendorError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
