"""What a node serves: a running engine's address, and what the node says of it to the server."""

from attrs import field, frozen

from lightphon_backend_gguf.node.dialect import GENERAL, Dialect
from lightphon_backend_gguf.node.serving.speed import Speed
from lightphon_backend_gguf.protocol.messages import OfferMessage


@frozen
class Endpoint:
    """An OpenAI-compatible server on this machine.

    `url` is its base, without `/v1` and without a slash at the end; `key` is its bearer token, empty for none; `model`
    is the name by which that server knows the model; `dialect` is what it may be asked.
    """

    url: str
    key: str = field(repr=False)
    model: str
    dialect: Dialect = GENERAL


@frozen
class Served:
    """One running model that jobs can be sent to. `speed` changes while it runs."""

    offer: OfferMessage
    endpoint: Endpoint
    speed: Speed = field(factory=Speed, eq=False)
