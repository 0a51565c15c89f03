"""One server, as the backend has it: what it offers, and its answers to jobs."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from lightphon_backend_openclaw.conditions import Condition, condition_of
from lightphon_backend_openclaw.discovery import Discovery
from lightphon_backend_openclaw.failures import failure
from lightphon_backend_openclaw.instances import Instance
from lightphon_backend_openclaw.notices import Notices
from lightphon_backend_openclaw.settings import OpenClawSettings
from lightphon_backend_openclaw.upstream import Answered, CannotConnect, Upstream
from lightphon_core import Host, Job, Offer, Overloaded

_TELLING = frozenset({Condition.KEY, Condition.PAYMENT, Condition.ENDPOINT_OFF})
"""What the status of an answer says of the server itself. Any other may be the request's doing."""


class Source:
    """Serves jobs, so many at a time over all of its models. Make it in a running event loop."""

    def __init__(self, instance: Instance, host: Host[OpenClawSettings], changed: Callable[[], None]) -> None:
        self.instance = instance
        self.busy = 0
        self._upstream = Upstream(instance.url, instance.key)
        self._notices = Notices(instance, host.log)
        self._notices.begun()
        self._discovery = Discovery(
            instance, self._upstream.models, self._notices, changed, host.log, refresh_s=host.settings.refresh_s
        )
        self._task = host.tasks.spawn(self._discovery.keep(), name=f"look at {instance.name}")

    @property
    def offers(self) -> Sequence[Offer]:
        return self._discovery.offers

    async def serve(self, job: Job) -> AsyncGenerator[bytes, None]:
        """As `Backend.serve`."""
        if self.busy >= self.instance.slots:
            raise Overloaded("All slots of the server are taken.")
        self.busy += 1
        try:
            answer = self._upstream.post(job.path, job.body, timeout_s=min(self.instance.timeout_s, job.timeout_s))
            well = False
            async with aclosing(answer):
                async for part in answer:
                    if not well:
                        well = True
                        self._notices.note("answer", Condition.WELL)
                    yield part
        except Answered as answered:
            self._look_into(answered.status)
            raise failure(answered.status, answered.body, answered.retry_after) from None
        except CannotConnect:
            self._discovery.look_soon()
            raise
        finally:
            self.busy -= 1

    def _look_into(self, status: int) -> None:
        condition = condition_of(status)
        if condition in _TELLING:
            self._notices.note("answer", condition, status=status)
            self._discovery.look_soon()

    async def close(self) -> None:
        """Look no more, and close every connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._upstream.close()
