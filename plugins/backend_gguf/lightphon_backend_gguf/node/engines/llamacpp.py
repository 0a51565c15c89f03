"""The llama.cpp engine: one child process for each model, so that a crash or a stall costs only that model."""

import re
import secrets
from pathlib import Path
from typing import Literal, Protocol

from attrs import asdict, frozen

from lightphon_backend_gguf.node.dialect import LLAMA_CPP, Dialect, Feature
from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.engines.child import Child, ChildFailed
from lightphon_backend_gguf.node.models.infill import Infill
from lightphon_backend_gguf.node.models.projector import Projector
from lightphon_backend_gguf.node.serving.served import Endpoint

FEATURES = frozenset(Feature) - {Feature.VISION, Feature.INFILL, Feature.EMBEDDING}
"""What llama.cpp's server can do with any model that writes text, and several slots."""

Pooling = Literal["mean", "last"]
"""The mean of all tokens, or the last one, which in models that write text has read all others. llama.cpp takes the
mean of what it computes in one step, so then a text must not be divided."""

_WORKER = "lightphon_backend_gguf.node.engines.llamacpp_worker"
_TELLING = (
    r"gguf_init\w*: (.+)",
    r"error loading model[^:\n]*: (.+)",
    r"llama_init\w*: (failed .+)",
    r"^[\d.]+ E [^:\n]*: (.+)",
    r"^(\w+Error: .+)",
)
"""Where llama.cpp says why it cannot load a model, the most telling first."""

_ADVICE = "Install the package that has it: libgomp.so.1 is in libgomp1 of Debian and Ubuntu"
"""What a system lacks that is only just installed."""


class Settings(Protocol):
    """What `LlamaCppSettings` and `LlamaServerSettings` both have, as far as the rules below need it."""

    @property
    def slots(self) -> int: ...
    @property
    def context(self) -> int: ...
    @property
    def embedding(self) -> bool: ...
    @property
    def pooling(self) -> Pooling | None: ...
    @property
    def infill(self) -> Infill | None: ...
    @property
    def mmproj(self) -> Projector | None: ...


@frozen
class LlamaCppSettings:
    """How to run one model.

    `alias` is the model name that the server answers to. `slots` requests run at once, each with `context` tokens for
    prompt and answer together. `threads` compute. `gpu_layers` go to a GPU, where llama.cpp was built for one; -1 is as
    many as fit. `batch` is how many prompt tokens are computed in one step, between which nothing can be cancelled;
    None chooses by the device. `embedding` serves vectors, and `pooling` says how those of a text's tokens become
    one; None where the file says it. With "last" the model goes on writing text. `infill` is what `read_infill` found.
    With `mmproj` the model takes images.
    """

    path: Path
    alias: str
    slots: int
    context: int
    threads: int
    gpu_layers: int = -1
    batch: int | None = None
    embedding: bool = False
    pooling: Pooling | None = None
    infill: Infill | None = None
    mmproj: Projector | None = None


class LlamaCpp(Engine):
    """Runs `llamacpp_worker` and speaks for it."""

    def __init__(self, settings: LlamaCppSettings) -> None:
        self.settings = settings
        self._child = Child(_WORKER)
        self.dialect = dialect_for(settings)

    @property
    def pid(self) -> int | None:
        """The child's process id, once it was started."""
        return self._child.pid

    async def start(self) -> Endpoint:
        settings, key = self.settings, secrets.token_urlsafe(32)
        rules = {"undivided": is_undivided(settings), "places": places(settings)}
        parts = {"path": str(settings.path), "infill": None, "mmproj": None}
        spec = {**asdict(settings, recurse=False), **parts, **rules, "key": key}
        if settings.mmproj is not None:
            spec |= {"mmproj": str(settings.mmproj.path), "image_tokens": settings.mmproj.most_tokens}
            spec["batch"] = settings.batch or settings.mmproj.batch
        try:
            ready = await self._child.launch(spec)
        except ChildFailed as failed:
            reason = load_error(failed.stderr) or failed.reason
            raise EngineError(f"llama.cpp cannot load {self.settings.path}: {reason}", lasting=failed.said) from None
        except BaseException:
            await self.stop()
            raise
        return Endpoint(url=str(ready["url"]), key=key, model=self.settings.alias, dialect=self.dialect)

    async def exited(self) -> str:
        return await self._child.exited()

    async def stop(self) -> None:
        await self._child.stop()


def is_undivided(settings: Settings) -> bool:
    """Whether the model makes vectors and no text, each out of all tokens of a text, in one step."""
    return settings.embedding and settings.pooling != "last"


def places(settings: Settings) -> int:
    """How many texts are computed side by side: one in each slot. llama.cpp aborts over a step of undivided texts that
    is not a multiple of them, so there may be fewer; those that find no place wait."""
    if not is_undivided(settings):
        return settings.slots
    return next(count for count in range(settings.slots, 0, -1) if settings.context % count == 0)


def dialect_for(settings: Settings) -> Dialect:
    """What llama.cpp's server may be asked. It takes no notice of `suffix`, so only what has `infill` fills in."""
    if is_undivided(settings):
        return Dialect(frozenset({Feature.EMBEDDING}), LLAMA_CPP)
    has = {
        Feature.EMBEDDING: settings.embedding,
        Feature.INFILL: settings.infill is not None,
        Feature.VISION: settings.mmproj is not None,
    }
    features = FEATURES | {feature for feature in has if has[feature]}
    return Dialect.of_slots(features, LLAMA_CPP, settings.slots, settings.infill)


def load_error(stderr: str) -> str | None:
    """The most telling line of what llama.cpp wrote while it failed to load a model; None if there is none."""
    for pattern in _TELLING:
        if found := re.search(pattern, stderr, re.MULTILINE):
            told = found[1].strip()[:300]
            return f"{told}. {_ADVICE}" if "cannot open shared object file" in told else told
    return None
