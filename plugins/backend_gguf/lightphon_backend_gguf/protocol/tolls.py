"""What each message of a node costs it. A node that has spent its allowance is cut off with 4429."""

OFFERS_TOLL = 50
"""New offers make the server look at its whole catalogue again."""
TEXT_UNIT = 1024
"""Characters of a control message that cost as much as a message."""
IDLE_FRAME_TOLL = 0.1
"""Output that nobody waits for: what is on its way when a job is cancelled can be many frames."""

RATE = 2000.0
"""Units a second, in the long run. A job costs a node about three."""
BURST = 5000.0
"""Units at once."""


def text_toll(text: str, *, offers: bool) -> float:
    """Of a control message; `offers` where it changed them."""
    return 1 + len(text) // TEXT_UNIT + (OFFERS_TOLL if offers else 0)


def frame_toll(*, wanted: bool) -> float:
    """Of a binary message. Output of a job in hand is bounded by its reader, and is free."""
    return 0.0 if wanted else IDLE_FRAME_TOLL
