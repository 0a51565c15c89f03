"""Stylesheets, scripts and pictures: read once, and served from memory.

Their address changes when any of them does, so browsers may keep them for good.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

from attrs import frozen
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter

from lightphon_core.web import pages
from lightphon_core.web.edge.access_log import LOGGED

FOREVER = "public, max-age=31536000, immutable"
"""For an address that has the version of what is there in it."""
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_TEXT = frozenset(_TYPES.values())
_SHOWN = (*_TYPES, ".png", ".webmanifest", ".ico")
"""What is served; licences and pin files lie beside it."""


@frozen
class Asset:
    """A file as it is sent; `packed` is the same by gzip, where that is worth it."""

    data: bytes
    packed: bytes | None
    media_type: str


@frozen
class Assets:
    """All files, by their path below the folder ("css/base.css"). `version` is a hash of all of them: scripts import
    one another by relative paths, so they have to change their address together."""

    files: dict[str, Asset]
    version: str

    def url(self, path: str) -> str:
        """The address of a file. Raises `KeyError` where there is none."""
        if path not in self.files:
            raise KeyError(f"there is no asset {path!r}")
        return f"/assets/{self.version}/{path}"

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return path in self.files


def load_assets(folder: Traversable | None = None) -> Assets:
    """Read what is in `folder`, which is the one of this package unless told."""
    found = dict(sorted(_below(folder or files(pages) / "assets")))
    total = hashlib.sha256()
    for path, asset in found.items():
        total.update(path.encode() + b"\0" + hashlib.sha256(asset.data).digest())
    return Assets(found, total.hexdigest()[:12])


@get("/assets/{version:str}/{path:path}", name="asset", include_in_schema=False)
async def asset(
    request: Request[None, None, State],
    version: Annotated[str, PathParameter(description="What `Assets.version` was.")],
    path: Annotated[str, PathParameter(description="A file's path.")],
) -> Response[bytes]:
    """A file. Under an address of another version, from a page that was opened before an update, it is not kept."""
    assets: Assets = request.app.state.assets
    found = assets.files.get(path.removeprefix("/"))
    if found is None:
        raise NotFoundException
    request.scope["state"][LOGGED] = True  # a page has a dozen of them, and they tell nothing
    headers = {
        "cache-control": FOREVER if version == assets.version else "no-cache",
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
    }
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(found.packed, media_type=found.media_type, headers=headers)
    return Response(found.data, media_type=found.media_type, headers=headers)


def _below(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Asset]]:
    for each in folder.iterdir():
        path = f"{prefix}{each.name}"
        if each.is_dir():
            yield from _below(each, f"{path}/")
        elif path.endswith(_SHOWN):
            yield path, _asset(each.name, each.read_bytes())


def _asset(name: str, data: bytes) -> Asset:
    suffix = name[name.rfind(".") :]
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    packed = gzip.compress(data, mtime=0) if media_type in _TEXT else None
    return Asset(data, packed, media_type)
