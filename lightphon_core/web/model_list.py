"""The models on offer as JSON, each written once for as long as what it says stays true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from attrs import frozen

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.models import auto_entry, model_entry
from lightphon_core.openai.selection import AUTO, read_model
from lightphon_core.routing.expected import cheapest
from lightphon_core.routing.router import WHOLE, Router, View
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
        self._written: dict[View, dict[str, _Written]] = {}
        self._whole: bytes | None = None

    def all_of(self, allowed: Allowed, via: frozenset[str] = frozenset()) -> bytes:
        """The whole list: `auto` first, then the models by id. `via` are gateways whose own models are not shown, since
        it is one of them that asks."""
        view = self._view(via)
        if allowed is not None or view != WHOLE:
            return self._list(allowed, via)
        if self._whole is None:
            self._whole = self._list(None, via)
        return self._whole

    def one(self, name: str, allowed: Allowed, via: frozenset[str] = frozenset()) -> bytes | None:
        """The entry of one model, of `auto`, or of `auto:fast` and the like; None where there is none."""
        if _is_auto(name):
            return self._auto(allowed, via, name)
        written = self._written_of(self._view(via)).get(name)
        return written.entry if written is not None and (allowed is None or name in allowed) else None

    def offered(self, allowed: Allowed) -> Sequence[tuple[ListedModel, Price | None]]:
        """The models of the whole list, by id, each with the price that the list has for it."""
        return [(each.listed, each.price) for each in self._of(allowed, self._view(frozenset()))]

    def least_price(self) -> Price | None:
        """The price of the cheapest model that chats, as `expected.cheapest` has it; None where there is none."""
        written = [*self._written_of(self._view(frozenset())).values()]
        return cheapest({each.price for each in _that_chat(written) if each.price is not None})

    def _view(self, via: frozenset[str], *, in_auto: bool = False) -> View:
        """Of what is on offer now. What was written of the past is forgotten, but for what may be true still."""
        revision = self._router.revision
        if revision != self._revision:
            self._revision, self._whole = revision, None
            earlier = self._written.get(WHOLE, {})
            self._written = {WHOLE: self._write(WHOLE, earlier)}
        return self._router.view(via, in_auto=in_auto)

    def _written_of(self, view: View) -> Mapping[str, _Written]:
        written = self._written.get(view)
        if written is None:
            written = self._written[view] = self._write(view, self._written[WHOLE])
        return written

    def _write(self, view: View, known: Mapping[str, _Written]) -> dict[str, _Written]:
        """Each model of the view; those of `known` that say the same are not written again."""
        return {each.model.id: self._one(each, view, known.get(each.model.id)) for each in self._router.models(view)}

    def _one(self, listed: ListedModel, view: View, known: _Written | None) -> _Written:
        price = self._router.price_of(listed.model.id, view)
        if known is not None and known.listed is listed and known.price == price:
            return known
        entry = model_entry(listed, price, max_output_tokens=self._max_output_tokens)
        return _Written(listed, price, msgspec.json.encode(entry))

    def _of(self, allowed: Allowed, view: View) -> Sequence[_Written]:
        written = self._written_of(view)
        if allowed is None:
            return [*written.values()]
        return [written[name] for name in sorted(allowed) if name in written]

    def _list(self, allowed: Allowed, via: frozenset[str]) -> bytes:
        models = [each.entry for each in self._of(allowed, self._view(via))]
        return b'{"object":"list","data":[%b]}' % b",".join([self._auto(allowed, via, AUTO), *models])

    def _auto(self, allowed: Allowed, via: frozenset[str], name: str) -> bytes:
        written = self._of(allowed, self._view(via, in_auto=True))
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
