"""What plugins give the core: the objects that hooks return. Each class here is a contract; `lightphon_core.testing`
holds the suite that proves an implementation.

Hooks are synchronous and only collect these objects; whatever waits, waits in a method of the object.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence

from lightphon_core.types import ConnectedNode, Credentials, Job, Load, Needs, Offer, Principal, Stats


class Backend(ABC):
    """A source of models.

    `name` is unique in one application and appears in `routing_info.backend`.
    """

    name: str

    @abstractmethod
    def offers(self) -> Sequence[Offer]:
        """What can be served now. A snapshot from memory: no I/O, no waiting, called often.

        Call `host.offers_changed()` whenever the answer would differ from the last one.
        """

    def load(self) -> Mapping[str, Load]:
        """How busy each offer is, by offer id. A snapshot too. Offers that are left out count as idle.

        Asked for at each request, which then looks up a few offers: a mapping that looks them up when it is asked is
        welcome, where there are many.
        """
        return {}

    def nodes(self) -> Sequence[ConnectedNode]:
        """Every node that is there, for its owner to see: those of the offers, and those that offer nothing now, as
        paused ones do. A snapshot too. Unless a backend says otherwise: the nodes of its offers."""
        by_id = {offer.node.id: offer.node for offer in self.offers()}
        return [ConnectedNode(node) for node in by_id.values()]

    @abstractmethod
    def serve(self, job: Job) -> AsyncGenerator[bytes, None]:
        """Run one job: an async generator of the upstream's own bytes, cut anywhere.

        The bytes are server-sent events for chat and completions, one JSON object for embeddings. The gateway checks
        and rewrites every event, so nothing needs to be parsed here.

        Closing the generator (`aclose`) cancels the work at the upstream, at once. Errors are raised as `Refused`,
        `Overloaded`, `Unavailable` or `TimedOut`; any other exception counts as `Unavailable` and is logged as a fault
        of the plugin. An upstream that ends early is `Unavailable`, never a quiet return.
        """

    async def start(self) -> None:  # noqa: B027 - optional
        """Called once before the first request. Raise to stop the server from starting."""

    async def stop(self) -> None:  # noqa: B027 - optional
        """Called once when the server stops; open `serve` generators have been closed before."""


class Scorer(ABC):
    """One opinion on how well an offer fits a request. The operator's settings weigh the opinions."""

    name: str

    @abstractmethod
    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:
        """From 0 (worst) to 1 (best), or None for no opinion. Pure and quick: called for every candidate offer."""


class Authenticator(ABC):
    """Tells who a request acts for. Authenticators are asked in the operator's order; the first answer counts."""

    name: str

    @abstractmethod
    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """The principal; None for "not mine"; or raise `Unauthenticated` for "mine, and not valid".

        A database that does not answer is `StorageUnavailable`, never `Unauthenticated`.
        """


class PaymentProvider(ABC):
    """Fills wallets. Declared so that plugins can name it; its methods come with the first payment plugin."""

    name: str
