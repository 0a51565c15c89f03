"""The ctransformers engine, for llama and falcon files of 2023. One child process for each model, one job at a time."""

import secrets
from importlib.util import find_spec
from pathlib import Path

from attrs import asdict, frozen

from lightphon_backend_gguf.node.dialect import SAMPLING, Dialect, Feature
from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.engines.child import Child, ChildFailed
from lightphon_backend_gguf.node.engines.ctransformers_files import KEPT, missing
from lightphon_backend_gguf.node.models.gguf import GgufError, Header, read_header
from lightphon_backend_gguf.node.serving.served import Endpoint

SLOTS = 1
"""The library generates one answer at a time."""

DIALECT = Dialect(
    frozenset({Feature.CHAT, Feature.COMPLETION}),
    (SAMPLING - {"min_p", "frequency_penalty", "presence_penalty", "logit_bias"})
    | {"messages", "prompt", "stream", "stream_options", "max_tokens", "repeat_penalty", "repeat_last_n"},
)

_WORKER = "lightphon_backend_gguf.node.engines.ctransformers_worker"
_NEEDED = ("ctransformers", "jinja2")
REQUIREMENT = "'lightphon-backend-gguf[node,ctransformers]'"
"""What pip is told to install, as a shell takes it."""


@frozen
class CTransformersSettings:
    """How to run one model; as `LlamaCppSettings`, with a single slot."""

    path: Path
    alias: str
    context: int
    threads: int
    gpu_layers: int = 0


class CTransformers(Engine):
    """Runs `ctransformers_worker` and speaks for it."""

    dialect = DIALECT

    def __init__(self, settings: CTransformersSettings) -> None:
        self._settings = settings
        self._child = Child(_WORKER)

    @property
    def pid(self) -> int | None:
        """The child's process id, once it was started."""
        return self._child.pid

    async def start(self) -> Endpoint:
        check(self._settings.path)
        key = secrets.token_urlsafe(32)
        spec = {**asdict(self._settings), "path": str(self._settings.path), "key": key}
        try:
            ready = await self._child.launch(spec)
        except ChildFailed as failed:
            message = f"ctransformers cannot load {self._settings.path}: {failed.reason}"
            raise EngineError(message, lasting=failed.said) from None
        except BaseException:
            await self.stop()
            raise
        return Endpoint(url=str(ready["url"]), key=key, model=self._settings.alias, dialect=self.dialect)

    async def exited(self) -> str:
        return await self._child.exited()

    async def stop(self) -> None:
        await self._child.stop()


def is_installed() -> bool:
    """Whether all that this engine needs is here."""
    return all(find_spec(name) is not None for name in _NEEDED)


def check(path: Path) -> Header:
    """The header of a file that ctransformers can load. EngineError, naming all that is missing, if it cannot."""
    if not is_installed():
        raise EngineError(f"ctransformers is not installed: pip install {REQUIREMENT}")
    try:
        with path.open("rb") as file:
            header = read_header(file, keep=KEPT)
    except FileNotFoundError:
        raise EngineError(f"ctransformers cannot load {path}: there is no such file") from None
    except (OSError, GgufError) as error:
        raise EngineError(f"ctransformers cannot load {path}: {error}", lasting=isinstance(error, GgufError)) from None
    if found := missing(header):
        raise EngineError(f"ctransformers cannot load {path}: {'; '.join(found)}", lasting=True)
    return header
