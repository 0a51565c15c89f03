"""What makes a machine a node of this server: the command to type, and the wheel that it installs.

Open to everybody: it is the program itself, which is free software, and nothing of this server.
"""

import asyncio
from shlex import quote
from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from lightphon_backend_gguf.hub.wheel import DISTRIBUTION, Wheel, installed_wheel

PATH = "/download"

_TEXT = """\
To serve models of a machine through this server, with Python 3.11 or newer:

    {create}
    {install}

Then, with a node token of this server in LIGHTPHON_NODE_TOKEN:

    {run}

A model is a GGUF file, a folder of them, or hf:OWNER/REPOSITORY:QUANTIZATION.
Before that, this tells what would run, and whether a GPU is used:

    {check}

{name}, SHA-256 {sha256}
"""


def downloads() -> list[HTTPRouteHandler]:
    """The routes `/download`, as text, or as JSON for those who ask for it, and `/download/<wheel>`."""
    # Made once, when it is first asked for.
    made: list[Wheel] = []
    lock = asyncio.Lock()

    async def wheel() -> Wheel:
        async with lock:
            if not made:
                made.append(await asyncio.to_thread(installed_wheel))
        return made[0]

    @get(PATH, name="node-download", include_in_schema=False)
    async def instructions(request: Request[Any, Any, Any]) -> Response[Any]:
        """How to install `lightphon-node` from this server."""
        said = _instructions(str(request.base_url).rstrip("/"), await wheel())
        if request.accept.best_match(["text/plain", "application/json"]) == "application/json":
            return Response(said, media_type=MediaType.JSON)
        return Response(_TEXT.format(**said), media_type=MediaType.TEXT)

    @get(f"{PATH}/{{name:str}}", name="node-wheel", include_in_schema=False)
    async def file(name: FromPath[str]) -> Response[bytes]:
        """The wheel of `lightphon-node` that fits this server."""
        current = await wheel()
        if name != current.name:
            raise NotFoundException(f"This server has {current.name}; see {PATH}.")
        return Response(current.data, media_type="application/octet-stream", headers={"cache-control": "no-cache"})

    return [instructions, file]


def _instructions(server: str, wheel: Wheel) -> dict[str, str]:
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
