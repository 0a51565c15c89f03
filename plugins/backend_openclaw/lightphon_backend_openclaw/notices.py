"""What the operator is told of a server: one line for each change, and none for each request."""

import structlog
from attrs import define, field

from lightphon_backend_openclaw.conditions import Condition, advice
from lightphon_backend_openclaw.instances import Instance
from lightphon_backend_openclaw.settings import Kind

_SERIOUS = frozenset({Condition.KEY, Condition.PAYMENT, Condition.ENDPOINT_OFF})
"""Does not mend itself."""


@define
class Notices:
    """Notes how a server was found, by what was asked of it: its list, or an answer. They may differ for long: some
    servers list their models whatever the key."""

    _instance: Instance
    _log: structlog.stdlib.BoundLogger
    _found: dict[str, Condition] = field(factory=dict)

    def begun(self) -> None:
        """Before the first look: what the settings let clients do that their writer may not have meant."""
        if self._instance.kind is Kind.OPENCLAW and self._instance.models is None:
            self._log.warning(
                "whoever has a key here talks to every agent of this OpenClaw, with the tools that it has",
                server=self._instance.name,
                advice="Make an agent with tools denied, and name it in OPENCLAW_MODELS (models): docs/openclaw.md.",
            )

    def note(self, asked: str, condition: Condition, *, status: int | None = None) -> None:
        """`asked` is "list" or "answer"."""
        before = self._found.get(asked)
        if before is condition:
            return
        self._found[asked] = condition
        if condition is Condition.WELL:
            if before is not None:
                self._log.info("the server is well again", server=self._instance.name, asked_for=asked)
            return
        said = {} if status is None else {"status": status}
        tell = self._log.error if condition in _SERIOUS else self._log.warning
        tell(
            "the server is of no use as it is",
            server=self._instance.name,
            asked_for=asked,
            found=condition.value,
            **said,
            advice=advice(condition, self._instance.kind),
        )
