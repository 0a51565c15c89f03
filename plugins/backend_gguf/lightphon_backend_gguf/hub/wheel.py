"""A wheel of this very distribution, made of what is installed, so that a server can hand its nodes what fits it.

Wheel format: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

import base64
import hashlib
import io
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from attrs import field, frozen

import lightphon_backend_gguf

DISTRIBUTION = "lightphon-backend-gguf"

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_WHEEL = b"Wheel-Version: 1.0\nGenerator: lightphon\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@frozen
class Wheel:
    """A wheel: its file's name, its bytes, and their SHA-256 in hex."""

    name: str
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def installed_wheel() -> Wheel:
    """This distribution as it is installed, in place or not. Takes some tens of milliseconds."""
    return pack(distribution(DISTRIBUTION), Path(lightphon_backend_gguf.__file__).parent)


def pack(installed: Distribution, package: Path) -> Wheel:
    """The wheel of a distribution whose code is the folder `package`. The same files give the same bytes."""
    stem = f"{installed.name.replace('-', '_')}-{installed.version}"
    files = {f"{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes() for path in _code(package)}
    info = f"{stem}.dist-info"
    for name in ("METADATA", "entry_points.txt"):
        files[f"{info}/{name}"] = (installed.read_text(name) or "").encode()
    for entry in installed.files or ():
        if entry.parent.name == "licenses":
            files[f"{info}/licenses/{entry.name}"] = Path(str(installed.locate_file(entry))).read_bytes()
    files[f"{info}/WHEEL"] = _WHEEL
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in sorted(files.items()))
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()

    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry_info = zipfile.ZipInfo(name, _EPOCH)
            entry_info.external_attr = _MODE
            entry_info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry_info, data)
    return Wheel(f"{stem}-py3-none-any.whl", target.getvalue())


def _code(package: Path) -> list[Path]:
    """The files of a package, without what Python and editors leave beside them."""
    inside = {path: path.relative_to(package).parts for path in package.rglob("*") if path.is_file()}
    return [
        path for path, parts in inside.items() if not any(part == "__pycache__" or part[0] == "." for part in parts)
    ]


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
