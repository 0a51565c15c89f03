"""The backend: what its servers offer, and jobs sent to them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from lightphon_backend_openclaw.instances import Instance
from lightphon_backend_openclaw.settings import OpenClawSettings
from lightphon_backend_openclaw.source import Source
from lightphon_core import Backend, Host, Job, Load, Offer, Unavailable


class HttpBackend(Backend):
    """Servers of one kind. `name` is that of the kind."""

    def __init__(self, name: str, instances: Sequence[Instance], host: Host[OpenClawSettings]) -> None:
        self.name = name
        self._instances = instances
        self._host = host
        self._sources: list[Source] = []
        self._by_offer: dict[str, Source] = {}
        self._offers: Sequence[Offer] = ()

    def offers(self) -> Sequence[Offer]:
        return self._offers

    def load(self) -> Mapping[str, Load]:
        """Every model of a server is as busy as the server is."""
        return {offer: Load(busy=source.busy) for offer, source in self._by_offer.items()}

    async def serve(self, job: Job) -> AsyncGenerator[bytes, None]:
        source = self._by_offer.get(job.offer_id)
        if source is None:
            raise Unavailable("The server does not have this model any more.")
        async with aclosing(source.serve(job)) as parts:
            async for part in parts:
                yield part

    async def start(self) -> None:
        """Begin to look for the servers. None of them is waited for: one that starts slowly must not hold up ours."""
        self._sources = [Source(instance, self._host, self._changed) for instance in self._instances]

    async def stop(self) -> None:
        for source in self._sources:
            await source.close()

    def _changed(self) -> None:
        self._by_offer = {offer.id: source for source in self._sources for offer in source.offers}
        self._offers = [offer for source in self._sources for offer in source.offers]
        self._host.offers_changed()
