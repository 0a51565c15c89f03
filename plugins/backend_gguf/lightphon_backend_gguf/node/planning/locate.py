"""From wishes to models that are on this machine: folders are looked through, and models of a hub downloaded."""

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.models.file_names import models_among
from lightphon_backend_gguf.node.models.sources import HubSource, LocalSource, ServerSource
from lightphon_backend_gguf.node.planning.wishes import Wish, WishError


@frozen
class Located:
    """A model that can be served now: a file, or a server that runs already. `model_id` is what clients call it, None
    where its metadata tells. `mmproj` is the file of its projector, if it is to have one."""

    wish: Wish
    place: Path | ServerSource
    model_id: str | None
    mmproj: Path | None = None


def locate(wishes: Sequence[Wish], fetch: Callable[[HubSource], Path]) -> list[Located]:
    """Every model that is wished for, in order. `fetch` brings a model of the hub here; what it raises passes through.

    WishError for a folder that has no models, and for one name, or mmproj, that is to stand for several.
    """
    found: list[Located] = []
    for wish in wishes:
        match wish.source:
            case HubSource() as source:
                found.append(Located(wish, fetch(source), wish.name or source.repository, _mmproj(wish, fetch)))
            case ServerSource() as source:
                found.append(Located(wish, source, wish.name))
            case LocalSource(path):
                files = _files(path, wish)
                mmproj = _mmproj(wish, fetch)
                found += [Located(wish, file, wish.name, mmproj) for file in files]
    return found


def _mmproj(wish: Wish, fetch: Callable[[HubSource], Path]) -> Path | None:
    match wish.mmproj:
        case LocalSource(path):
            return path
        case HubSource() as source:
            return fetch(source)
    return None


def _files(path: Path, wish: Wish) -> list[Path]:
    """The model files of a path, which may be a folder. Whether a file is one is found out when it is read."""
    if not path.is_dir():
        return [path]
    try:
        files = [path / file for file in models_among(entry.name for entry in path.iterdir() if entry.is_file())]
    except OSError as error:
        raise WishError(f"{path}: the folder cannot be read ({error.strerror}).") from None
    if not files:
        raise WishError(f"{path}: there are no .gguf files in this folder.")
    if wish.name is not None and len(files) > 1:
        raise WishError(
            f"{path}: there are {len(files)} models in this folder, so they cannot all be called {wish.name}."
        )
    if wish.mmproj is not None and len(files) > 1:
        raise WishError(f"{path}: there are {len(files)} models in this folder; name the one that mmproj belongs to.")
    return files
