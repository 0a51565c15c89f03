"""The llama.cpp engine: one child process for each model, so that a crash or a stall costs only that model."""

import re
import secrets
from pathlib import Path

from attrs import asdict, frozen

from lightphon_backend_gguf.node.dialect import LLAMA_CPP, Dialect, Feature
from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.engines.child import Child, ChildFailed
from lightphon_backend_gguf.node.models.projector import Projector
from lightphon_backend_gguf.node.serving.served import Endpoint

FEATURES = frozenset(Feature) - {Feature.VISION, Feature.INFILL}
"""What llama.cpp's server can do with a single model file, and several slots."""


def features(mmproj: Projector | None) -> frozenset[Feature]:
    """The same with a projector, or without one."""
    return FEATURES if mmproj is None else FEATURES | {Feature.VISION}


_WORKER = "lightphon_backend_gguf.node.engines.llamacpp_worker"
_TELLING = (
    r"gguf_init\w*: (.+)",
    r"error loading model[^:\n]*: (.+)",
    r"llama_init\w*: (failed .+)",
    r"^[\d.]+ E [^:\n]*: (.+)",
    r"^(\w+Error: .+)",
)
"""Where llama.cpp says why it cannot load a model, the most telling first."""


@frozen
class LlamaCppSettings:
    """How to run one model.

    `alias` is the model name that the server answers to. `slots` requests run at once, each with `context` tokens for
    prompt and answer together. `threads` compute. `gpu_layers` go to a GPU, where llama.cpp was built for one; -1 is as
    many as fit. `batch` is how many prompt tokens are computed in one step, between which nothing can be cancelled;
    None chooses by the device. `embedding` serves vectors instead of text. With `mmproj` the model takes images.
    """

    path: Path
    alias: str
    slots: int
    context: int
    threads: int
    gpu_layers: int = -1
    batch: int | None = None
    embedding: bool = False
    mmproj: Projector | None = None


class LlamaCpp(Engine):
    """Runs `llamacpp_worker` and speaks for it."""

    def __init__(self, settings: LlamaCppSettings) -> None:
        self._settings = settings
        self._child = Child(_WORKER)
        self.dialect = Dialect.of_slots(features(settings.mmproj), LLAMA_CPP, settings.slots)

    @property
    def pid(self) -> int | None:
        """The child's process id, once it was started."""
        return self._child.pid

    async def start(self) -> Endpoint:
        settings, key = self._settings, secrets.token_urlsafe(32)
        spec = {**asdict(settings, recurse=False), "path": str(settings.path), "mmproj": None, "key": key}
        if settings.mmproj is not None:
            spec |= {"mmproj": str(settings.mmproj.path), "image_tokens": settings.mmproj.most_tokens}
            spec["batch"] = settings.batch or settings.mmproj.batch
        try:
            ready = await self._child.launch(spec)
        except ChildFailed as failed:
            reason = load_error(failed.stderr) or failed.reason
            raise EngineError(f"llama.cpp cannot load {self._settings.path}: {reason}", lasting=failed.said) from None
        except BaseException:
            await self.stop()
            raise
        return Endpoint(url=str(ready["url"]), key=key, model=self._settings.alias, dialect=self.dialect)

    async def exited(self) -> str:
        return await self._child.exited()

    async def stop(self) -> None:
        await self._child.stop()


def load_error(stderr: str) -> str | None:
    """The most telling line of what llama.cpp wrote while it failed to load a model; None if there is none."""
    for pattern in _TELLING:
        if found := re.search(pattern, stderr, re.MULTILINE):
            return found[1].strip()[:300]
    return None
