"""How a call of a scripted provider goes: well, unless the test says otherwise."""

from __future__ import annotations

from collections import defaultdict, deque

from lightphon_core.errors import LightPhonError, ProviderUnavailable


class Line:
    """Between LightPhon and a provider. While it is not `up`, no call gets through. `calls` names the methods that were
    called, in order."""

    def __init__(self) -> None:
        self.up = True
        self.calls: list[str] = []
        self._before: defaultdict[str, deque[LightPhonError]] = defaultdict(deque)
        self._lost: defaultdict[str, int] = defaultdict(int)

    def refuse(self, method: str, error: LightPhonError | None = None) -> None:
        """The next call of this method raises before it has done anything: `ProviderUnavailable` unless told."""
        self._before[method].append(error or ProviderUnavailable("The scripted provider does not answer."))

    def lose_reply(self, method: str) -> None:
        """The next call of this method does what it is to do, and raises `ProviderUnavailable`."""
        self._lost[method] += 1

    def begin(self, method: str) -> None:
        """For the provider: a call came in."""
        self.calls.append(method)
        if self._before[method]:
            raise self._before[method].popleft()
        if not self.up:
            raise ProviderUnavailable("The scripted provider is down.")

    def end(self, method: str) -> None:
        """For the provider: it was done."""
        if self._lost[method]:
            self._lost[method] -= 1
            raise ProviderUnavailable("The scripted provider's reply was lost.")
