"""/download: how a machine becomes a node of this server, and the wheel that it installs.

Open to everybody: it is the program itself, which is free software, and nothing of this server.
"""

from typing import Any

from litestar import MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.hub.setup import MODELS, PATH, REQUIREMENTS, Installable, steps
from lightphon_core import Host

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


def downloads(host: Host[GgufSettings], installable: Installable) -> list[HTTPRouteHandler]:
    """The routes `/download`: a page for browsers, JSON for programs that ask for it, else text; and the wheel."""

    @get(PATH, name="node-download", include_in_schema=False)
    async def instructions(request: Request[Any, Any, Any]) -> Response[Any]:
        """How to install `lightphon-node` from this server."""
        server = str(request.base_url).rstrip("/")
        wheel = await installable.wheel()
        if "text/html" in request.headers.get("accept", ""):
            typed = steps(host.public_url or server, wheel)
            return await host.page(
                request,
                "download.html",
                steps=typed,
                requirements=REQUIREMENTS,
                example=MODELS[0],
                kib=len(wheel.data) // 1024,
            )
        said = steps(server, wheel)
        if request.accept.best_match(["text/plain", "application/json"]) == "application/json":
            return Response(said, media_type=MediaType.JSON)
        return Response(_TEXT.format(**said), media_type=MediaType.TEXT)

    @get(f"{PATH}/{{name:str}}", name="node-wheel", include_in_schema=False)
    async def file(name: FromPath[str]) -> Response[bytes]:
        """The wheel of `lightphon-node` that fits this server."""
        current = await installable.wheel()
        if name != current.name:
            raise NotFoundException(f"This server has {current.name}; see {PATH}.")
        return Response(current.data, media_type="application/octet-stream", headers={"cache-control": "no-cache"})

    return [instructions, file]
