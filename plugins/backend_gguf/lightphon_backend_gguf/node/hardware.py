"""What this machine has to compute with, and how busy it is."""

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from lightphon_backend_gguf.node.gpus import drm, reports
from lightphon_backend_gguf.node.gpus.reading import Reading, sendable_name
from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine

TOOL_TIMEOUT_S = 10.0
"""How long a maker's tool may take to say what there is."""

Tool = Callable[..., Awaitable[str]]
"""Runs a program with arguments; what it says, or nothing if it is not there or fails."""

_CPUS = Path("/sys/devices/system/cpu")
_PROC = Path("/proc")


async def survey(tool: Tool | None = None, proc: Path = _PROC) -> Hardware:
    """CPU, memory and GPUs. May take seconds, in which the makers' tools run."""
    tool = tool or run_tool
    readings = (*await asyncio.to_thread(nvidia), *await amd(tool), *await intel(tool), *await apple(tool))
    return Hardware(
        cpu=await _cpu(tool, proc),
        cores=physical_cores(),
        memory_bytes=_memory_bytes(),
        gpus=tuple(reading.gpu for reading in readings)[: limits.GPUS],
    )


def machine(proc: Path = _PROC) -> Machine:
    """How busy the machine is. Reads files and NVIDIA's library, and runs nothing; for a thread."""
    readings = (*nvidia(), *drm.read())
    free = [reading.free for reading in readings if reading.free is not None]
    return Machine(
        memory_free=_memory_free(proc),
        gpu_memory_free=sum(free) if free else None,
        gpu_busy=max((reading.busy for reading in readings if reading.busy is not None), default=None),
    )


def nvidia() -> tuple[Reading, ...]:
    """NVIDIA's GPUs; none where its library for Python is not installed."""
    try:
        from lightphon_backend_gguf.node.gpus.nvidia import read
    except ImportError:
        return ()
    return read()


async def amd(tool: Tool) -> tuple[Reading, ...]:
    """AMD's GPUs, by the names that its own tool knows, if it is there."""
    return reports.rocm_smi(await tool(*reports.ROCM_SMI)) or drm.read("AMD")


async def intel(tool: Tool) -> tuple[Reading, ...]:
    """Intel's GPUs, likewise."""
    devices = reports.xpu_smi_devices(await tool(*reports.XPU_SMI))
    said = [reports.xpu_smi_device(await tool(*reports.XPU_SMI, "-d", str(device))) for device in devices]
    return tuple(reading for reading in said if reading is not None) or drm.read("Intel")


async def apple(tool: Tool) -> tuple[Reading, ...]:
    """Apple's GPUs."""
    return reports.system_profiler(await tool(*reports.SYSTEM_PROFILER)) if sys.platform == "darwin" else ()


async def run_tool(program: str, *arguments: str) -> str:
    """What a program of the machine writes; nothing if it is not there, fails or takes too long. Never a shell."""
    path = shutil.which(program)
    if path is None:
        return ""
    process = await asyncio.create_subprocess_exec(
        path,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(TOOL_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace") if process.returncode == 0 else ""


def physical_cores(cpus: Path = _CPUS) -> int:
    """Cores that this process may use, each counted once whatever its threads. At least 1.

    Where the machine does not tell which of its processors share a core, each counts as one.
    """
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores: set[str] = set()
    for cpu in usable:
        try:
            cores.add((cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text())
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))


async def _cpu(tool: Tool, proc: Path) -> str | None:
    """The processor's name, by Linux, macOS or whatever Python knows."""
    try:
        lines = (proc / "cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "")
    if not named and sys.platform == "darwin":
        named = await tool("sysctl", "-n", "machdep.cpu.brand_string")
    return sendable_name(named or platform.processor() or platform.machine())


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has none of it
        return None


def _memory_free(proc: Path) -> int | None:
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None
