"""Multimodal projectors: the second file (mmproj) of a model that takes images, which turns them into tokens for it."""

from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.models.facts import read_model
from lightphon_backend_gguf.node.models.gguf import GgufError, Header

MOST_TOKENS = 2040
"""What an image may come to, where the projector can do with less. With the marks around it, no more is paid for (the
core's `TOKENS_PER_IMAGE`); twice as many would take four times the work, and half of the usual context."""

_WHOLE_TOKENS = 1120
"""The most tokens of an image that a model has to read in one step (Gemma 4's)."""

_LARGE = "qwen"
"""Types that make up to 4,096 tokens of an image unless told (tools/mtmd/clip.cpp). To others nothing is said: what is
told replaces the type's own limit, which is mostly a lower one."""

_ARCHITECTURE = "clip"


@frozen
class Projector:
    """One that takes images. `kind` is its type, as the file says it; `size` is in bytes."""

    path: Path
    kind: str
    size: int

    @property
    def batch(self) -> int | None:
        """The least number of prompt tokens in one step; None where any will do.

        Gemma reads an image in both directions, so it has to be in one step; llama.cpp would make it smaller.
        """
        return _WHOLE_TOKENS if self.kind.startswith("gemma") else None

    @property
    def most_tokens(self) -> int | None:
        """To how many tokens an image is to be limited; None where the type's own limit will do."""
        return MOST_TOKENS if self.kind.startswith(_LARGE) else None


def is_projector(header: Header) -> bool:
    """Whether a file is a projector, whatever its name is, and so no language model."""
    return header.metadata.get("general.architecture") == _ARCHITECTURE


def read_projector(path: Path) -> Projector:
    """The projector at `path`. GgufError, naming the file, if it cannot be read, is not whole, or takes no images."""
    header = read_model(path)
    if not is_projector(header):
        raise GgufError(f"{path}: this is no projector for images (mmproj), but a model; name it as MODEL.")
    if header.metadata.get("clip.has_vision_encoder") is not True:
        raise GgufError(f"{path}: this projector is not for images; name one that has a vision encoder as mmproj.")
    kinds = (header.metadata.get(key) for key in ("clip.vision.projector_type", "clip.projector_type"))
    return Projector(path, next((kind for kind in kinds if isinstance(kind, str)), "mlp"), path.stat().st_size)
