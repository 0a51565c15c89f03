"""Bounds on everything that crosses the node link, in one place. Both ends apply them to what they receive."""

MESSAGE_BYTES = 1024 * 1024
"""Longest WebSocket message, for the WebSocket libraries. What follows is stricter."""

TEXT_CHARACTERS = 512 * 1024
"""Longest control message."""

FRAGMENT_BYTES = 64 * 1024
"""Longest payload of one binary message."""

BODY_BYTES = 64 * 1024 * 1024
"""Longest job body. The gateway's own limit on request bodies is the one that clients meet."""

HEADER_BYTES = 4096
"""Longest JSON header of a job."""

UNFINISHED_BYTES = 256 * 1024 * 1024
"""What a node keeps of bodies that have not arrived whole; a job beyond that fails as overloaded."""

JOBS = 4096
"""Jobs open at one time on one connection."""

OFFERS = 256
"""Offers of one node; the hub's settings may lower it."""

SLOTS = 1024
"""Jobs at once of one offer."""

JOB_ID = 2**63 - 1
"""Highest job id. Ids start at 1 and grow by one."""

MISSED_HEARTBEATS = 3
"""After so many intervals without a single message the other end counts as dead."""

EARNED_MSAT = 2**62
"""The most millisatoshi that an account is told to have earned; fewer than there are."""

PRICE_MSAT = 10**12
"""The most millisatoshi that one part of a price may be: ten bitcoin."""

BYTES = 2**60
"""The most that a size of a file or a memory may be."""

GPUS = 64
"""GPUs of one node."""

TOKENS_PER_S = 10**6
"""The most that a speed may be."""
