"""What makes a machine a node of this server: the commands to type, and the wheel that they install."""

import asyncio
from shlex import quote

from lightphon_backend_gguf.hub.wheel import DISTRIBUTION, Wheel, installed_wheel
from lightphon_core import MODEL_HERE, TOKEN_HERE, NodeSetup

PATH = "/download"
MODELS = (
    "hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF:Q4_K_M",
    "hf:Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M",
    "hf:bartowski/Meta-Llama-3.1-8B-Instruct-GGUF:Q4_K_M",
)
"""Suggestions: a small one that any machine runs, and two for a GPU."""
REQUIREMENTS = (
    "Linux or macOS, with Python 3.11 or newer.",
    "Memory for the model file and for its context: about 2 GB for a model of 1.5 B parameters, 6 GB for one of 8 B.",
    "A GPU makes it fast; a CPU is enough to begin with.",
    "A way out to this server. No port has to be open.",
)


class Installable:
    """The wheel of this very server, made once, when it is first asked for."""

    def __init__(self) -> None:
        self._wheel: Wheel | None = None
        self._lock = asyncio.Lock()

    async def wheel(self) -> Wheel:
        """Its name, bytes and hash."""
        async with self._lock:
            if self._wheel is None:
                self._wheel = await asyncio.to_thread(installed_wheel)
        return self._wheel


def steps(server: str, wheel: Wheel) -> dict[str, str]:
    """What is to be typed, step by step; the hash makes pip refuse anything else."""
    url = f"{server}{PATH}/{wheel.name}"
    return {
        "name": wheel.name,
        "url": url,
        "sha256": wheel.sha256,
        "create": "python3 -m venv lightphon-node",
        "install": f"lightphon-node/bin/pip install {quote(f'{DISTRIBUTION}[node] @ {url}#sha256={wheel.sha256}')}",
        "check": "lightphon-node/bin/lightphon-node check MODEL",
        "run": f"lightphon-node/bin/lightphon-node run --server {quote(server)} MODEL",
    }


def setup_of(server: str, wheel: Wheel) -> NodeSetup:
    """The same as one command, with the token in the environment, where other users of the machine do not see it."""
    typed = steps(server, wheel)
    run = f"{typed['run'].removesuffix('MODEL')}{MODEL_HERE}"
    return NodeSetup(
        title="A machine with GGUF models",
        summary="Runs models with llama.cpp, on a GPU or a CPU, and sends the answers back over one connection.",
        requirements=REQUIREMENTS,
        command=" &&\n".join((typed["create"], typed["install"], f"LIGHTPHON_NODE_TOKEN={TOKEN_HERE} {run}")),
        models=MODELS,
        more=PATH,
    )
