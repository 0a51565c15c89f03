"""Files of a hub's repository, downloaded into the hub's usual cache.

The library's own download starts anew after an interrupted run, and takes the SHA-256 as said. So a file comes by its
`http_get` into a part file of ours, which a later run goes on with, and is handed to the cache when it is checked.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen
from huggingface_hub import constants, hf_hub_download, hf_hub_url
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # no __all__

from lightphon_backend_gguf.node.models.huggingface.errors import HubError

SPARE_BYTES = 2**30
"""What a download leaves free on the disk."""

_READ = 2**20


@frozen
class RemoteFile:
    """A file of a repository at one commit: its size in bytes, and its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


class Download:
    """Into one repository's part of the cache, at one commit. `say` gets lines for the operator."""

    def __init__(self, repository: str, commit: str, *, endpoint: str, cache: Path, say: Callable[[str], None]) -> None:
        self._repository = repository
        self._commit = commit
        self._endpoint = endpoint
        self._cache = cache
        self._folder = cached_folder(cache, repository)
        self._say = say

    def check_space(self, files: Sequence[RemoteFile]) -> None:
        """HubError unless the disk holds what is still to come."""
        if not files:
            return
        self._cache.mkdir(parents=True, exist_ok=True)
        missing = sum(file.size - _size(self._partial(file)) for file in files)
        free = shutil.disk_usage(self._cache).free
        if missing + SPARE_BYTES > free:
            raise HubError(
                f"{self._repository}: {missing / 1e9:.1f} GB are still to be downloaded, and {free / 1e9:.1f} GB are "
                f"free in {self._cache}. Make room, or choose another folder with HF_HOME."
            )

    def run(self, file: RemoteFile) -> None:
        """Have the file in the cache, whole and checked. HubError, or whatever the library raises."""
        blob, partial = self._folder / "blobs" / file.sha256, self._partial(file)
        partial.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(partial.with_suffix(".lightphon-lock")):
            # What is larger does not come by HTTP: the library has a way of its own for it, which cannot be resumed.
            if not blob.exists() and file.size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
                self._complete(file, partial)
                if (found := _sha256(partial)) != file.sha256:
                    partial.unlink()
                    raise HubError(
                        f"{self._repository}: {file.name} arrived with other content than the hub announces (SHA-256 "
                        f"{found}, not {file.sha256}). It was removed; try again."
                    )
                partial.replace(blob)
        # Finds the content in place, and gives it its name in the cache.
        hf_hub_download(
            self._repository,
            file.name,
            revision=self._commit,
            cache_dir=self._cache,
            endpoint=self._endpoint,
            etag_timeout=30,
        )
        (self._folder / "refs").mkdir(exist_ok=True)
        (self._folder / "refs" / "main").write_text(self._commit, "utf-8")

    def _partial(self, file: RemoteFile) -> Path:
        return self._folder / "blobs" / f"{file.sha256}.lightphon-part"

    def _complete(self, file: RemoteFile, partial: Path) -> None:
        have = _size(partial)
        if have > file.size:
            partial.unlink()
            have = 0
        again = f", from {have / 1e9:.1f} GB on" if have else ""
        self._say(f"Downloading {file.name} of {self._repository}: {file.size / 1e9:.1f} GB{again}.")
        url = hf_hub_url(self._repository, file.name, revision=self._commit, endpoint=self._endpoint)
        with partial.open("ab") as target:
            http_get(
                url,
                target,
                resume_size=have,
                headers=build_hf_headers(),
                expected_size=file.size,
                displayed_filename=Path(file.name).name,
            )


def cached_folder(cache: Path, repository: str) -> Path:
    """Where the cache keeps a repository."""
    return cache / repo_folder_name(repo_id=repository, repo_type="model")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ):
            digest.update(part)
    return digest.hexdigest()
