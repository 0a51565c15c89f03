"""What plugins give the core: the objects that hooks return. Each class here is a contract; `lightphon_core.testing`
holds the suite that proves an implementation.

Hooks are synchronous and only collect these objects; whatever waits, waits in a method of the object.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence

from lightphon_core.errors import NotFound
from lightphon_core.types import (
    Address,
    Change,
    ConnectedNode,
    Credentials,
    DepositState,
    Destination,
    Event,
    Hint,
    Invoice,
    Job,
    Load,
    Needs,
    NewDeposit,
    NodeSetup,
    Offer,
    Opened,
    Origin,
    Outgoing,
    Payment,
    PaymentState,
    Principal,
    Stats,
)


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

    async def node_setup(self, server: str) -> NodeSetup | None:
        """How somebody adds a node of their own that connects with a node token, for the page /nodes. `server` is the
        address of this server as that person reaches it, without a slash at its end; it comes from the request, so it
        is quoted wherever a shell reads it. None: nobody can, as where the operator lists the servers."""
        del server
        return None

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
    """Fills wallets. Whatever comes first of `events`, `lookup` and `webhook` credits a deposit, once.

    `name` is what people say to choose it ("lightning"), and names its account in the ledger; it must never change.
    `origin` marks its money: card money can be spent, and never withdrawn. `play_money`: what it credits is worth
    nothing; such a provider runs beside no other. `pushes`: `events` tells of a settlement at once, so that `lookup` is
    asked but now and then; else it is asked every `asks_every_s` seconds at most about a deposit.
    `currency` ("EUR"): deposits are asked for in it, and `price` is to be paid; None where they are asked for in sats.
    `test_pay_path`: where play money is paid with a click: `POST` it with `{"invoice": ...}`, a path of the provider's
    own plugin, which takes a session for a credential; None where there is no such thing.
    """

    name: str
    currency: str | None = None
    origin: Origin = Origin.LIGHTNING
    play_money: bool = False
    pushes: bool = False
    asks_every_s: float = 0.5
    test_pay_path: str | None = None

    @abstractmethod
    async def open(self, deposit: NewDeposit) -> Opened:
        """Have a deposit opened.

        Raises:
            InvalidRequest: the provider takes no such amount.
            ProviderUnavailable: it does not answer. The deposit may be open there; nobody will be shown it.
        """

    @abstractmethod
    async def lookup(self, ref: str) -> DepositState:
        """How a deposit stands. Raises `ProviderUnavailable`."""

    def events(self, cursor: str | None) -> AsyncGenerator[Event, None]:
        """What has happened after `cursor` (None: from the beginning, or from now on where the provider remembers
        nothing), as it happens, without end. The core begins anew, after a while, when it ends or raises.

        A provider that pushes nothing need not have it.
        """
        del cursor
        raise NotImplementedError(f"{self.name} pushes nothing")

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Change | Hint]:
        """What a call of `/webhooks/<name>` says. Names of headers are in small letters. Anybody may call: what is not
        proven by a signature is a `Hint` at most.

        Raises:
            NotFound: the provider knows no webhooks.
            InvalidRequest: this is none of its own.
        """
        del headers, body
        raise NotFound(f"{self.name} takes no webhooks.")

    async def start(self) -> None:  # noqa: B027 - optional
        """Called once before the first request. Raise to stop the server from starting."""

    async def stop(self) -> None:  # noqa: B027 - optional
        """Called once when the server stops."""


class PayoutProvider(ABC):
    """Pays what people withdraw. `name` is that of the `PaymentProvider` through which the money came in."""

    name: str

    @abstractmethod
    def read(self, destination: str) -> Destination:
        """What somebody typed, without asking anybody.

        Raises:
            InvalidRequest: it is nothing that can be paid: misspelt, of another network. `param` is "destination".
        """

    @abstractmethod
    async def resolve(self, address: Address, amount: int) -> Invoice:
        """An invoice over exactly `amount` from whom the address names.

        Raises:
            InvalidRequest: there is nobody, or nobody who takes this amount. `param` is "destination".
            ProviderUnavailable: the address's server does not answer.
        """

    def least_fee_cap(self, amount: int) -> int:
        """The least fee cap with which this wallet can pay so much; 0 where it keeps to any."""
        del amount
        return 0

    @abstractmethod
    async def pay(self, payment: Payment) -> PaymentState:
        """Pay, and say how it went; `InFlight` where that takes longer than some seconds. Never pays one ref twice.

        Raises:
            NotSent: the wallet has surely not been asked.
            ProviderUnavailable: nobody knows whether it was.
        """

    @abstractmethod
    async def lookup(self, ref: str) -> PaymentState:
        """How a payment stands. Raises `ProviderUnavailable`."""

    @abstractmethod
    async def sent(self, since: float) -> Sequence[Outgoing]:
        """Every payment that was begun after `since`, in any order, those of others who use the wallet too.

        Raises `ProviderUnavailable`.
        """

    async def start(self) -> None:  # noqa: B027 - optional
        """Called once before the first request. Raise to stop the server from starting."""

    async def stop(self) -> None:  # noqa: B027 - optional
        """Called once when the server stops."""
