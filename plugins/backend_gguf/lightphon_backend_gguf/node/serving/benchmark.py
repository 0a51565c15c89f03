"""A first measurement of a model that has just been loaded, so that its offer says how fast it is."""

import asyncio
import json
from collections.abc import Collection
from contextlib import aclosing

from lightphon_backend_gguf.node.link.jobs import Post
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.protocol.messages import JobFailed

LONGEST_S = 5.0
TOKENS = 32
PROMPT = """\
A harbour town wakes slowly. First the gulls, then the ice house, then the men who mend nets along the quay. By seven
the ferry has left for the islands with post, bread and two sleepy schoolteachers, and the clock over the customs house
is, as on every day of the year, four minutes late. What happens next is told by the woman who runs the lighthouse:"""


async def benchmark(post: Post, endpoint: Endpoint, capabilities: Collection[str], *, longest_s: float) -> None:
    """Have the engine answer a fixed prompt for `longest_s` seconds at most; `post` measures.

    An engine that fails at it is not found out here: it may fail at this and still serve jobs. Models that write no
    text are left alone.
    """
    body: dict[str, object] = {
        "model": endpoint.model,
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if "completion" in capabilities:
        path, body = "/v1/completions", {**body, "prompt": PROMPT}
    elif "chat" in capabilities:
        path, body = "/v1/chat/completions", {**body, "messages": [{"role": "user", "content": PROMPT}]}
    else:
        return
    try:
        async with (
            asyncio.timeout(longest_s),
            aclosing(post(endpoint, path, json.dumps(body).encode(), timeout_s=longest_s + 1)) as parts,
        ):
            async for _ in parts:
                pass
    except (TimeoutError, JobFailed):
        return
