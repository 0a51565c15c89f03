"""Which engines are installed here, and what they can compute with."""

import asyncio
import json
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, metadata, version

from attrs import frozen

from lightphon_backend_gguf.node.engines.ctransformers import REQUIREMENT, is_installed

ASK_TIMEOUT_S = 60.0
PACKAGE = "xllamacpp"

_WORKER = "lightphon_backend_gguf.node.engines.llamacpp_worker"
_DEVICE = re.compile(r" +(?P<id>\S+?): (?P<name>.+) \([0-9]+ MiB, [0-9]+ MiB free\)")
_NO_GPU = ("BLAS", "RPC")
"""How the ids of devices begin that are not GPUs of this machine."""


@frozen
class Installed:
    """An engine: the package that it is in, or the program that it is, and its version; and the names of the GPUs that
    it uses, None where it does not tell.

    `homepage` is where the project lives, by the package's own word. `problem` says why it cannot be used, as part of a
    sentence, and `requirement` is what pip is told to install; None where that is no help.
    """

    name: str
    package: str
    version: str | None = None
    gpus: tuple[str, ...] | None = ()
    homepage: str | None = None
    problem: str | None = None
    requirement: str | None = None


async def installed(engine: str) -> Installed | None:
    """What there is of an engine that `--engine` names; None for a name that is none."""
    kind, _, program = engine.partition("=")
    match kind, program:
        case "llama.cpp", "":
            return await llama_cpp()
        case "ctransformers", "":
            return ctransformers()
        case "llama-server", _:
            return await llama_server(program or kind)
    return None


async def llama_cpp() -> Installed:
    """llama.cpp as it is installed. It is asked in a process of its own, which a broken GPU driver may take down."""
    name = "llama.cpp"
    try:
        release, homepage = version(PACKAGE), _homepage()
    except PackageNotFoundError:
        return Installed(name, PACKAGE, problem="it is not installed", requirement=PACKAGE)
    said = await _said(sys.executable, "-m", _WORKER, "--devices")
    try:
        gpus = tuple(str(device["name"]) for device in json.loads(said or "") if device["gpu"])
    except ValueError:
        problem = "it does not start here"
        return Installed(name, PACKAGE, release, homepage=homepage, problem=problem, requirement=PACKAGE)
    return Installed(name, PACKAGE, release, gpus, homepage)


def ctransformers() -> Installed:
    """ctransformers as it is installed. The node has it compute with the CPU, whatever it was built for."""
    name = "ctransformers"
    if not is_installed():
        return Installed(name, name, problem="it is not installed", requirement=REQUIREMENT)
    return Installed(name, name, version(name))


async def llama_server(program: str) -> Installed:
    """A user's own llama-server, by its name or path."""
    name, binary = "llama-server", shutil.which(program)
    if binary is None:
        return Installed(
            name, program, problem="there is no such program; name it as --engine llama-server=PATH, or install it"
        )
    said = await _said(binary, "--list-devices")
    return Installed(name, binary, gpus=None if said is None else gpus_listed(said))


def gpus_listed(text: str) -> tuple[str, ...] | None:
    """The names of the GPUs in what `llama-server --list-devices` prints; None if it is something else."""
    _, heading, listed = text.partition("Available devices:\n")
    found = [device for line in listed.splitlines() if (device := _DEVICE.fullmatch(line))]
    return tuple(device["name"] for device in found if not device["id"].startswith(_NO_GPU)) if heading else None


async def _said(*command: str) -> str | None:
    """What a program prints, if it ends well and in time."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            said, _ = await process.communicate()
        return said.decode(errors="replace") if process.returncode == 0 else None
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _homepage() -> str | None:
    """Where the installed package says that its project is."""
    told = metadata(PACKAGE)
    for entry in told.get_all("Project-URL") or ():
        label, _, url = str(entry).partition(",")
        if label.strip().lower() in ("homepage", "repository", "source"):
            return url.strip()
    return str(told["Home-page"]) if "Home-page" in told else None
