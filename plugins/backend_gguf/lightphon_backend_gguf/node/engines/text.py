"""From the bytes of tokens to the text of an answer. Pure."""

import codecs
from collections.abc import Sequence


class TextCutter:
    """Takes tokens' bytes, gives text that can be sent: whole characters, and nothing that a stop string may take back.

    `stopped` says that a stop string was met. It and what follows it are never given out.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """The text that is now certain."""
        return self._cut(self._decoder.decode(piece))

    def end(self) -> str:
        """The rest, when no more tokens come."""
        text = self._cut(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        return text if self.stopped else text + rest

    def _cut(self, more: str) -> str:
        if self.stopped:
            return ""
        text = self._held + more
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        at = len(text) - keep
        self._held = text[at:]
        return text[:at]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text are the beginning of the stop string."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
