"""Models from the Hugging Face hub: which file is meant, and having it here.

The only module that imports huggingface_hub. Files lie in its usual cache (`HF_HOME`, `HF_HUB_CACHE`), where other
programs find them; `HF_TOKEN` and `HF_ENDPOINT` count as everywhere. Its own download starts anew after an interrupted
run, and takes the SHA-256 as said. So a file comes by the library's `http_get` into a part file of ours, which a later
run goes on with, and is handed to the cache when it is checked.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen
from httpx2 import HTTPError
from huggingface_hub import HfApi, constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # no __all__

from lightphon_backend_gguf.node.models.file_names import ChoiceError, choose, parts_of
from lightphon_backend_gguf.node.models.sources import HubSource

SPARE_BYTES = 2**30
"""What a download leaves free on the disk."""

_READ = 2**20


class HubError(Exception):
    """A model cannot be had from the hub. The message is one line for the operator."""


@frozen
class RemoteFile:
    """A file of a repository at one commit: its size in bytes, and its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@frozen
class RemoteModel:
    """A model's files, the first part first, at one commit."""

    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """In bytes, all files together."""
        return sum(file.size for file in self.files)


class HubModels:
    """One hub and one cache: those of the environment, unless told. `say` gets lines for the operator."""

    def __init__(self, say: Callable[[str], None], *, endpoint: str | None = None, cache: Path | None = None) -> None:
        self._say = say
        self._api = HfApi(endpoint=endpoint)
        self._cache = cache or Path(constants.HF_HUB_CACHE)

    def fetch(self, source: HubSource) -> Path:
        """The path of the model's file, or of its first part, which is downloaded unless it is here already.

        Blocks, with a progress bar on a terminal. Without a connection it finds what was downloaded before. HubError.
        """
        repository = source.repository
        with _explained(repository, self._api.endpoint):
            found = self._find(source)
            if isinstance(found, Path):
                return found
            wanted = [file for file in found.files if self._in_cache(repository, file.name, found.commit) is None]
            self._check_space(repository, wanted)
            for file in wanted:
                self._download(repository, found.commit, file)
            path = self._in_cache(repository, found.files[0].name, found.commit)
        assert path is not None
        return path

    def look(self, source: HubSource) -> Path | RemoteModel:
        """The path of the model's file, or of its first part, if all of it is here; else what is to be downloaded.

        Downloads nothing. HubError.
        """
        with _explained(source.repository, self._api.endpoint):
            found = self._find(source)
            if isinstance(found, Path):
                return found
            paths = [self._in_cache(source.repository, file.name, found.commit) for file in found.files]
        return found if paths[0] is None or None in paths else paths[0]

    def _find(self, source: HubSource) -> Path | RemoteModel:
        """The model in the repository; where the hub is out of reach, the path of what is here."""
        try:
            commit, files = self._list(source.repository)
        except (OfflineModeIsEnabled, HTTPError) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
                raise
            return self._cached(source, error)
        names = parts_of(_chosen(source, list(files)))
        if missing := [name for name in names if name not in files]:
            raise HubError(f"{source.repository}: the parts {', '.join(missing)} are missing from the repository.")
        return RemoteModel(commit, tuple(files[name] for name in names))

    def _list(self, repository: str) -> tuple[str, dict[str, RemoteFile]]:
        """The newest commit, and its large files by name."""
        info = self._api.model_info(repository, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        found = {
            sibling.rfilename: RemoteFile(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256)
            for sibling in info.siblings or ()
            if sibling.lfs is not None
        }
        return str(info.sha), found

    def _in_cache(self, repository: str, name: str, commit: str | None = None) -> Path | None:
        found = try_to_load_from_cache(repository, name, cache_dir=self._cache, revision=commit)
        return Path(found) if isinstance(found, str) else None

    def _cached(self, source: HubSource, error: Exception) -> Path:
        """What an earlier start has downloaded, where the hub is out of reach now."""
        folder = self._folder(source.repository)
        reference = folder / "refs" / "main"
        snapshot = folder / "snapshots" / reference.read_text("utf-8").strip() if reference.exists() else None
        here = [str(path.relative_to(snapshot)) for path in snapshot.rglob("*")] if snapshot else []
        if not here or snapshot is None:
            raise HubError(
                f"{source.repository}: {self._api.endpoint} cannot be reached ({type(error).__name__}), and nothing "
                "was downloaded from it before. Check the connection, or name a file on this machine."
            )
        name = _chosen(source, here)
        if missing := [part for part in parts_of(name) if part not in here]:
            raise HubError(
                f"{source.repository}: {missing[0]} is not here, and {self._api.endpoint} cannot be reached."
            )
        self._say(f"{self._api.endpoint} cannot be reached; using {name} as it was downloaded before.")
        return snapshot / name

    def _folder(self, repository: str) -> Path:
        return self._cache / repo_folder_name(repo_id=repository, repo_type="model")

    def _partial(self, repository: str, file: RemoteFile) -> Path:
        return self._folder(repository) / "blobs" / f"{file.sha256}.lightphon-part"

    def _check_space(self, repository: str, files: Sequence[RemoteFile]) -> None:
        """HubError unless the disk holds what is still to come."""
        if not files:
            return
        self._cache.mkdir(parents=True, exist_ok=True)
        missing = sum(file.size - _size(self._partial(repository, file)) for file in files)
        free = shutil.disk_usage(self._cache).free
        if missing + SPARE_BYTES > free:
            raise HubError(
                f"{repository}: {missing / 1e9:.1f} GB are still to be downloaded, and {free / 1e9:.1f} GB are free in "
                f"{self._cache}. Make room, or choose another folder with HF_HOME."
            )

    def _download(self, repository: str, commit: str, file: RemoteFile) -> None:
        blob = self._folder(repository) / "blobs" / file.sha256
        partial = self._partial(repository, file)
        partial.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(partial.with_suffix(".lightphon-lock")):
            # What is larger does not come by HTTP: the library has a way of its own for it, which cannot be resumed.
            if not blob.exists() and file.size <= constants.MAX_HTTP_DOWNLOAD_SIZE:
                self._complete(repository, commit, file, partial)
                if (found := _sha256(partial)) != file.sha256:
                    partial.unlink()
                    raise HubError(
                        f"{repository}: {file.name} arrived with other content than the hub announces (SHA-256 "
                        f"{found}, not {file.sha256}). It was removed; try again."
                    )
                partial.replace(blob)
        # Finds the content in place, and gives it its name in the cache.
        hf_hub_download(
            repository, file.name, revision=commit, cache_dir=self._cache, endpoint=self._api.endpoint, etag_timeout=30
        )
        (self._folder(repository) / "refs").mkdir(exist_ok=True)
        (self._folder(repository) / "refs" / "main").write_text(commit, "utf-8")

    def _complete(self, repository: str, commit: str, file: RemoteFile, partial: Path) -> None:
        have = _size(partial)
        if have > file.size:
            partial.unlink()
            have = 0
        again = f", from {have / 1e9:.1f} GB on" if have else ""
        self._say(f"Downloading {file.name} of {repository}: {file.size / 1e9:.1f} GB{again}.")
        url = hf_hub_url(repository, file.name, revision=commit, endpoint=self._api.endpoint)
        with partial.open("ab") as target:
            http_get(
                url,
                target,
                resume_size=have,
                headers=build_hf_headers(),
                expected_size=file.size,
                displayed_filename=Path(file.name).name,
            )


def _chosen(source: HubSource, names: Sequence[str]) -> str:
    if source.file is None:
        try:
            return choose(names, source.quantization)
        except ChoiceError as error:
            raise HubError(f"{source.repository}: {error}.") from None
    if source.file in names:
        return source.file
    there = ", ".join(sorted(name for name in names if name.lower().endswith(".gguf"))[:20])
    raise HubError(f"{source.repository}: it has no file {source.file}; it has {there or 'no GGUF files'}.")


@contextmanager
def _explained(repository: str, endpoint: str) -> Iterator[None]:
    """The library's errors as a line that says what to do next."""
    try:
        yield
    except GatedRepoError:
        raise HubError(
            f"{repository}: access is granted by its owner. Ask for it at {endpoint}/{repository}, then set HF_TOKEN "
            "to a token of the account that has it."
        ) from None
    except RepositoryNotFoundError:
        raise HubError(
            f"{repository}: there is no such repository at {endpoint}, or it is private and HF_TOKEN is not set to a "
            "token that may read it."
        ) from None
    except (EntryNotFoundError, LocalEntryNotFoundError):
        raise HubError(
            f"{repository}: a file has gone from the repository while it was asked for. Try again."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = (
            " HF_TOKEN is not valid there." if status == 401 else " HF_TOKEN may not read it." if status == 403 else ""
        )
        raise HubError(f"{repository}: {endpoint} answered with status {status}.{advice}") from None
    except HTTPError as error:
        raise HubError(
            f"{repository}: the connection to {endpoint} broke off ({type(error).__name__}). Start again to go on."
        ) from None
    except OSError as error:
        raise HubError(f"{repository}: cannot be stored: {error.strerror or error}.") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ):
            digest.update(part)
    return digest.hexdigest()
