"""Which engine is installed here, and what it can compute with."""

import asyncio
import json
import sys
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import Any

from attrs import frozen

ASK_TIMEOUT_S = 60.0
PACKAGE = "xllamacpp"

_WORKER = "lightphon_backend_gguf.node.engines.llamacpp_worker"


@frozen
class Installed:
    """An engine: the package it is in and its version, the names of the GPUs that it can use, and where the project
    lives, by the package's own word. `problem` says why it cannot be used, as part of a sentence."""

    name: str
    package: str
    version: str | None = None
    gpus: tuple[str, ...] = ()
    homepage: str | None = None
    problem: str | None = None


async def llama_cpp() -> Installed:
    """llama.cpp as it is installed. It is asked in a process of its own, which a broken GPU driver may take down."""
    try:
        found = Installed("llama.cpp", PACKAGE, version(PACKAGE), homepage=_homepage())
    except PackageNotFoundError:
        return Installed("llama.cpp", PACKAGE, problem="it is not installed")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _WORKER, "--devices"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            said, _ = await process.communicate()
        return _told(found, json.loads(said))
    except (TimeoutError, ValueError):
        return Installed(found.name, PACKAGE, found.version, homepage=found.homepage, problem="it does not start here")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _told(found: Installed, devices: list[dict[str, Any]]) -> Installed:
    gpus = tuple(str(device["name"]) for device in devices if device["gpu"])
    return Installed(found.name, found.package, found.version, gpus, found.homepage)


def _homepage() -> str | None:
    """Where the installed package says that its project is."""
    told = metadata(PACKAGE)
    for entry in told.get_all("Project-URL") or ():
        label, _, url = str(entry).partition(",")
        if label.strip().lower() in ("homepage", "repository", "source"):
            return url.strip()
    return str(told["Home-page"]) if "Home-page" in told else None
