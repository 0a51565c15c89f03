"""What the node needs of an engine: something on this machine that serves one model over OpenAI's HTTP interface."""

from abc import ABC, abstractmethod

from lightphon_backend_gguf.node.served import Endpoint


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
    object.
    """

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
        """End the engine and whatever it runs, within some seconds. Harmless at any time, and twice."""
