"""What is on offer now: one snapshot of all backends' offers, brought up to date when a backend says that its own
changed.

A change costs what changed: entries stay the same objects for as long as their offers do. Loads are no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog
from attrs import evolve, field, frozen

from lightphon_core.ports import Backend
from lightphon_core.routing.listing import Listing
from lightphon_core.routing.makers import known
from lightphon_core.types import ConnectedNode, ListedModel, Load, Offer, OfferKey

RETRY_S = 1.0
"""How long a backend that failed to say what it offers is left alone."""

_IDLE = Load()

log = structlog.stdlib.get_logger("lightphon")


class Loads:
    """The loads of one backend's offers. While they are held, the backend is asked once for all of them.

    `is_well` is whether it told the last one that was asked for.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._held: Mapping[str, Load] | None = None
        self._is_holding = False
        self.is_well = True

    def hold(self) -> None:
        """Read them, for many questions at once."""
        self._held, self._is_holding = self._read(), True

    def let_go(self) -> None:
        """Read them anew for each question again."""
        self._held, self._is_holding = None, False

    def of(self, offer_id: str) -> Load:
        """How busy an offer is; idle where the backend fails to say it."""
        loads = self._held if self._is_holding else self._read()
        if loads is None:
            return _IDLE
        try:
            load = loads.get(offer_id, _IDLE)
        except Exception as error:  # noqa: BLE001 - a mapping of a plugin's own runs any code at all
            self._failed(error)
            return _IDLE
        self.is_well = True
        return load

    def _read(self) -> Mapping[str, Load] | None:
        try:
            return self._backend.load()
        except Exception as error:  # noqa: BLE001 - a plugin's method may raise anything; the others go on
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        if self.is_well:
            log.error("a backend failed to say how busy it is; left out", backend=self._backend.name, exc_info=error)
        self.is_well = False


@frozen(eq=False)
class Entry:
    """One offer and the backend that serves it. `key` is unique in the application; `loads` are the backend's."""

    backend: Backend = field(repr=False)
    offer: Offer
    loads: Loads = field(repr=False)
    key: OfferKey = field(init=False, repr=False)

    @loads.default
    def _own(self) -> Loads:
        return Loads(self.backend)

    @key.default
    def _key(self) -> OfferKey:
        return self.backend.name, self.offer.id

    def load(self) -> Load:
        """How busy the offer is, as its backend says now; idle where it fails to say."""
        return self.loads.of(self.offer.id)


class Watcher(Protocol):
    """Hears of every change of the catalogue."""

    def removed(self, entry: Entry) -> None:
        """This one is there no longer."""

    def added(self, entry: Entry) -> None:
        """This one is there now. What replaces another of the same key comes after that was removed."""


class _Shelf:
    """What one backend had on offer when it was last read, as it stated it and as entries."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.loads = Loads(backend)
        self.read: Sequence[Offer] = ()
        self.stated: dict[str, Offer] = {}
        self.entries: dict[str, Entry] = {}
        self.retry_at: float | None = None


class Catalogue:
    """The live snapshot, read again on the first look after `invalidate`.

    `now` is the clock, in seconds since 1970. `backends` may still grow.
    """

    def __init__(self, backends: Sequence[Backend], now: Callable[[], float]) -> None:
        self._backends = backends
        self._now = now
        self._is_stale = True
        self._failing = False
        self._shelves: dict[int, _Shelf] = {}
        self._entries: tuple[Entry, ...] | None = None
        self._listing = Listing(now)
        self._watchers: list[Watcher] = []

    @property
    def backends(self) -> Sequence[Backend]:
        """Those whose offers these are."""
        return self._backends

    def invalidate(self) -> None:
        """Some backend's offers changed."""
        self._is_stale = True

    def watch(self, watcher: Watcher) -> None:
        """Tell it of all that was read until now, and of every change from then on."""
        for shelf in self._shelves.values():
            for entry in shelf.entries.values():
                watcher.added(entry)
        self._watchers.append(watcher)

    def refresh(self) -> None:
        """Bring it up to date. Costs nothing where no backend said that its offers changed."""
        if not self._is_stale and not self._failing:
            return
        everyone, self._is_stale = self._is_stale, False
        for backend in self._backends:
            shelf = self._shelves.setdefault(id(backend), _Shelf(backend))
            if everyone or (shelf.retry_at is not None and self._now() >= shelf.retry_at):
                self._update(shelf)
        self._failing = any(shelf.retry_at is not None for shelf in self._shelves.values())

    def entries(self) -> tuple[Entry, ...]:
        """Every offer."""
        self.refresh()
        if self._entries is None:
            self._entries = tuple(entry for shelf in self._shelves.values() for entry in shelf.entries.values())
        return self._entries

    def models(self) -> tuple[ListedModel, ...]:
        """The models on offer, by id."""
        self.refresh()
        return self._listing.models()

    def models_where(self, shows: Callable[[OfferKey, Offer], bool]) -> tuple[ListedModel, ...]:
        """The same, as if there were only the offers that `shows` says yes to."""
        self.refresh()
        return self._listing.models_where(shows)

    def nodes(self) -> list[ConnectedNode]:
        """Every node that is connected now, also those without an offer."""
        return [connected for backend in self._backends for connected in backend.nodes()]

    def was_offered(self, model: str) -> bool:
        """Whether a model of this id is on offer, or was since the server started."""
        self.refresh()
        return self._listing.was_offered(model)

    @contextmanager
    def loads_held(self) -> Iterator[None]:
        """Meanwhile each backend is asked only once how busy its offers are."""
        shelves = [shelf for shelf in self._shelves.values() if shelf.entries]
        for shelf in shelves:
            shelf.loads.hold()
        try:
            yield
        finally:
            for shelf in shelves:
                shelf.loads.let_go()

    def _update(self, shelf: _Shelf) -> None:
        try:
            offers = shelf.backend.offers()
            # A tuple that is the same is unchanged; a list might be the same one with other things in it.
            if offers is shelf.read and type(offers) is tuple:
                return
            stated: dict[str, Offer] = {}
            for offer in offers:
                stated.setdefault(offer.id, offer)
        except Exception as error:
            if shelf.retry_at is None:
                log.error(
                    "a backend failed to say what it offers; left out", backend=shelf.backend.name, exc_info=error
                )
            shelf.retry_at = self._now() + RETRY_S
            offers, stated = (), {}
        else:
            shelf.retry_at = None
        earlier, shelf.read, shelf.stated = shelf.stated, offers, stated
        for name in [name for name in earlier if name not in stated]:
            self._remove(shelf, name)
        for name, offer in stated.items():
            before = earlier.get(name)
            if before is offer:
                continue
            if before is not None:
                if before == offer:
                    continue
                self._remove(shelf, name)
            self._add(shelf, offer)

    def _add(self, shelf: _Shelf, offer: Offer) -> None:
        told = evolve(offer, model=known(offer.model))
        entry = shelf.entries[offer.id] = Entry(shelf.backend, told, shelf.loads)
        self._listing.add(entry.key, told)
        self._entries = None
        for watcher in self._watchers:
            watcher.added(entry)

    def _remove(self, shelf: _Shelf, name: str) -> None:
        entry = shelf.entries.pop(name)
        self._listing.remove(entry.key, entry.offer)
        self._entries = None
        for watcher in self._watchers:
            watcher.removed(entry)
