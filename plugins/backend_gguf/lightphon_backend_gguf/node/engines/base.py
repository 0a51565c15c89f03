"""What the node needs of an engine: something on this machine that serves one model over OpenAI's HTTP interface.

docs/engines.md says how to write one; `lightphon_backend_gguf.testing.engines` is the suite that it has to pass.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from lightphon_backend_gguf.node.dialect import Dialect, Feature
from lightphon_backend_gguf.node.serving.served import Endpoint


class EngineError(Exception):
    """The engine cannot start. The message is one line for the operator.

    `lasting`: the engine itself refused the model, and will again until the operator changes something.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Engine(ABC):
    """One model, served on the loopback interface, by a child process or by a server that was there before.

    Used as: `start`, then `exited` in a task of its own, then `stop`. An engine starts once; a new start needs a new
    object. `dialect` says what it can do and which parameters it takes; the endpoint that `start` returns has it too.
    """

    dialect: Dialect

    @property
    def pid(self) -> int | None:
        """The process whose memory is watched; None before the start, and for a server that is not ours."""
        return None

    @abstractmethod
    async def start(self) -> Endpoint:
        """Load the model and return where it listens, once it takes requests. EngineError if that cannot be.

        May take minutes. Cancelling it ends whatever was begun.
        """

    @abstractmethod
    async def exited(self) -> str:
        """Wait until a started engine serves no more, and return how it ended, as part of a sentence.

        The text never holds anything of a request.
        """

    @abstractmethod
    async def stop(self) -> None:
        """End the engine and whatever it runs, within some seconds. Harmless at any time, and twice.

        What the engine did not start it leaves running.
        """


def offered(capabilities: Iterable[str], features: frozenset[Feature]) -> tuple[str, ...]:
    """What a model can do in an engine, sorted: of the words for what engines do, those that the engine has too.

    Words that are about the model alone, such as "reasoning" and "code", stay.
    """
    return tuple(sorted({word for word in capabilities if word not in set(Feature) or word in features}))
