"""Server-sent events: an incremental splitter for what upstreams send, and the writers for what clients get.

The format is the one of the HTML standard, section 9.2 (text/event-stream).
"""

_BOM = b"\xef\xbb\xbf"

DONE = b"data: [DONE]\n\n"
"""OpenAI's own end-of-stream event."""


class EventTooLarge(ValueError):
    """One event is larger than the splitter may hold. The splitter is of no use any more."""


class Splitter:
    """Cuts a byte stream, which arrives in pieces of any size, into the payloads of its events.

    A payload is an event's `data` lines joined by line feeds. Lines end in CR, LF or CRLF. Comments and the fields
    `event`, `id` and `retry` are ignored, and so are events without data, or with nothing in it. `limit` bounds, in
    bytes, one event as it stands on the wire, with its line endings counted as one byte each and without the blank line
    that ends it.
    """

    def __init__(self, limit: int = 1_048_576) -> None:
        self._limit = limit
        self._held = bytearray()  # the event that is not complete yet, with every line ending turned into LF
        self._at_start = True  # a byte order mark may still come
        self._after_cr = False  # a line feed would belong to the carriage return before it

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the events that `data` completes.

        Raises:
            EventTooLarge: An event is over the limit, whether complete or not.
        """
        if (
            not self._held
            and not self._at_start
            and not self._after_cr
            and data.endswith(b"\n\n")
            and b"\r" not in data
        ):
            return self._payloads(data[:-2].split(b"\n\n"))  # whole events, as nearly always
        searched = self._take(data)
        held = self._held
        end = held.find(b"\n\n", searched)
        blocks = []
        start = 0
        while end >= 0:
            blocks.append(bytes(held[start:end]))
            start = end + 2
            end = held.find(b"\n\n", start)
        del held[:start]
        if len(held) > self._limit + 1:  # the last byte may be the first half of the blank line
            self._held = bytearray()
            raise EventTooLarge(f"An event is over {self._limit} bytes.")
        return self._payloads(blocks)

    def end(self) -> list[bytes]:
        """What the stream held when it ended without a last blank line: one payload, or none."""
        block = bytes(self._held)
        self._held = bytearray()
        return self._payloads([block])

    def _take(self, data: bytes) -> int:
        """Append `data` to what is held, with its line endings made equal and a leading byte order mark dropped.

        Returns where the first blank line may begin that was not there before.
        """
        searched = max(0, len(self._held) - 1)
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        if b"\r" in data:
            # A line that ends in CR is complete at once: the LF that may follow is dropped when it comes.
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._held += data
        if self._at_start and not (len(self._held) < len(_BOM) and _BOM.startswith(bytes(self._held))):
            self._at_start = False
            searched = 0
            if self._held.startswith(_BOM):
                del self._held[: len(_BOM)]
        return searched

    def _payloads(self, blocks: list[bytes]) -> list[bytes]:
        payloads = []
        for block in blocks:
            if len(block) > self._limit:
                raise EventTooLarge(f"An event is over {self._limit} bytes.")
            payload = block[6:] if block.startswith(b"data: ") and b"\n" not in block else _data(block)
            if payload:
                payloads.append(payload)
        return payloads


def _data(block: bytes) -> bytes:
    """The `data` lines among the lines of an event, joined by line feeds."""
    lines = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
    return b"\n".join(lines)


def event(payload: bytes) -> bytes:
    """One event that carries `payload`.

    Raises:
        ValueError: The payload holds a carriage return, which no event can carry.
    """
    if b"\r" in payload:
        raise ValueError("A carriage return cannot be carried by a server-sent event.")
    if b"\n" in payload:
        payload = payload.replace(b"\n", b"\ndata: ")
    return b"data: " + payload + b"\n\n"


def comment(text: str) -> bytes:
    """A comment, which clients ignore: it keeps a silent connection open."""
    return b"".join(b": " + line.encode() + b"\n" for line in text.splitlines() or [""]) + b"\n"
