"""Models from the Hugging Face hub: which file is meant, and having it here.

This folder alone imports huggingface_hub. Files lie in its usual cache (`HF_HOME`, `HF_HUB_CACHE`), where other
programs find them; `HF_TOKEN` and `HF_ENDPOINT` count as everywhere.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen
from httpx2 import HTTPError
from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from lightphon_backend_gguf.node.models.file_names import ChoiceError, choose, parts_of
from lightphon_backend_gguf.node.models.huggingface.download import Download, RemoteFile, cached_folder
from lightphon_backend_gguf.node.models.huggingface.errors import HubError, explained
from lightphon_backend_gguf.node.models.sources import HubSource


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
        with explained(repository, self._api.endpoint):
            found = self._find(source)
            if isinstance(found, Path):
                return found
            wanted = [file for file in found.files if self._in_cache(repository, file.name, found.commit) is None]
            download = Download(repository, found.commit, endpoint=self._api.endpoint, cache=self._cache, say=self._say)
            download.check_space(wanted)
            for file in wanted:
                download.run(file)
            path = self._in_cache(repository, found.files[0].name, found.commit)
        assert path is not None
        return path

    def look(self, source: HubSource) -> Path | RemoteModel:
        """The path of the model's file, or of its first part, if all of it is here; else what is to be downloaded.

        Downloads nothing. HubError.
        """
        with explained(source.repository, self._api.endpoint):
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
        folder = cached_folder(self._cache, source.repository)
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
