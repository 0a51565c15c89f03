"""The plugin: OpenClaw, and other OpenAI-compatible servers, as backends of LightPhon."""

from collections.abc import Iterable

from lightphon_backend_openclaw.settings import Kind, OpenClawSettings
from lightphon_core import Backend, Host, hookimpl


class OpenClaw:
    """Serves models from the servers that the settings name: a backend for each kind that there is."""

    settings = OpenClawSettings
    gateways = (Kind.OPENCLAW.value,)

    def __init__(self, host: Host[OpenClawSettings]) -> None:
        self._host = host

    @hookimpl
    def register_backends(self) -> Iterable[Backend]:
        # In here, since aiohttp takes long to load: `lightphon --help` does without.
        from lightphon_backend_openclaw.backend import HttpBackend
        from lightphon_backend_openclaw.instances import instances_of

        instances = instances_of(self._host.settings)
        by_kind = {kind: [each for each in instances if each.kind is kind] for kind in Kind}
        return [HttpBackend(kind.value, found, self._host) for kind, found in by_kind.items() if found]
