"""The models on offer as JSON, each written once for as long as what it says stays true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from attrs import frozen

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.models import auto_entry, model_entry
from lightphon_core.openai.selection import AUTO, read_model
from lightphon_core.routing.expected import cheapest
from lightphon_core.routing.router import Router
from lightphon_core.types import Capability, ListedModel, Price

Allowed = frozenset[str] | None
"""The ids of the models that somebody may use; None for all."""


@frozen(eq=False)
class _Written:
    """The entry of one model, and what it was written from."""

    listed: ListedModel
    price: Price | None
    entry: bytes


class ModelList:
    """One per application. `started_at` is when `auto` was created, in seconds since 1970; `max_output_tokens` is the
    gateway's limit for one answer."""

    def __init__(self, router: Router, *, started_at: int, max_output_tokens: int) -> None:
        self._router = router
        self._started_at = started_at
        self._max_output_tokens = max_output_tokens
        self._revision = -1
        self._written: dict[str, _Written] = {}
        self._whole: bytes | None = None

    def all_of(self, allowed: Allowed) -> bytes:
        """The whole list: `auto` first, then the models by id."""
        self._refresh()
        if allowed is not None:
            return self._list(self._of(allowed))
        if self._whole is None:
            self._whole = self._list(self._of(None))
        return self._whole

    def one(self, name: str, allowed: Allowed) -> bytes | None:
        """The entry of one model, of `auto`, or of `auto:fast` and the like; None where there is none."""
        self._refresh()
        if _is_auto(name):
            return self._auto(self._of(allowed), name)
        written = self._written.get(name)
        return written.entry if written is not None and (allowed is None or name in allowed) else None

    def _refresh(self) -> None:
        revision = self._router.revision
        if revision != self._revision:
            self._revision, self._whole = revision, None
            self._written = {each.model.id: self._write(each) for each in self._router.catalogue.models()}

    def _write(self, listed: ListedModel) -> _Written:
        earlier, price = self._written.get(listed.model.id), self._router.price_of(listed.model.id)
        if earlier is not None and earlier.listed is listed and earlier.price == price:
            return earlier
        entry = model_entry(listed, price, max_output_tokens=self._max_output_tokens)
        return _Written(listed, price, msgspec.json.encode(entry))

    def _of(self, allowed: Allowed) -> Sequence[_Written]:
        if allowed is None:
            return [*self._written.values()]
        return [self._written[name] for name in sorted(allowed) if name in self._written]

    def _list(self, written: Sequence[_Written]) -> bytes:
        return b'{"object":"list","data":[%b]}' % b",".join(
            [self._auto(written, AUTO), *(each.entry for each in written)]
        )

    def _auto(self, written: Sequence[_Written], name: str) -> bytes:
        entry = auto_entry(
            [each.listed for each in written],
            cheapest({each.price for each in _that_chat(written) if each.price is not None}),
            created=self._started_at,
            max_output_tokens=self._max_output_tokens,
            name=name,
        )
        return msgspec.json.encode(entry)


def _that_chat(written: Sequence[_Written]) -> Iterable[_Written]:
    """What `auto` is nearly always asked for; all of them where none does."""
    return [each for each in written if Capability.CHAT in each.listed.model.capabilities] or written


def _is_auto(name: str) -> bool:
    """Whether the name leaves the choice to the router: "auto", and "auto:fast" and the like."""
    try:
        return read_model(name)[0] is None
    except InvalidRequest:
        return False
