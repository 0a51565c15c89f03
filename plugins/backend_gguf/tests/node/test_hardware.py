"""What a machine has: by NVIDIA's library, by files of Linux and by outputs of the makers' tools, all without a GPU."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.node import hardware
from lightphon_backend_gguf.node.gpus import drm, nvidia, reports
from lightphon_backend_gguf.node.gpus.reading import Reading, sendable_name
from lightphon_backend_gguf.node.models.facts import read_model
from lightphon_backend_gguf.node.models.gguf import Header, Value
from lightphon_backend_gguf.node.models.memory import cache_bytes, memory_limit, resident_bytes
from lightphon_backend_gguf.protocol.hardware import Gpu, Hardware

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text()


class NVMLError(Exception):
    pass


class Nvml:
    """NVIDIA's library with two GPUs, the second of which tells nothing but its name."""

    NVMLError = NVMLError
    names = ("NVIDIA GeForce RTX 4090", "NVIDIA GB10")
    open = 0

    def nvmlInit(self) -> None:  # noqa: N802 - the library's own names, here and below
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return self.names[handle]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        if handle:
            raise NVMLError("not supported")
        return SimpleNamespace(total=25757220864, free=24000000000, used=1757220864)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=37, memory=5)


def test_nvidia_by_its_library() -> None:
    nvml = Nvml()
    assert nvidia.read(nvml) == (
        Reading(Gpu("NVIDIA GeForce RTX 4090", 25757220864), 24000000000, 0.37),
        Reading(Gpu("NVIDIA GB10")),
    )
    assert nvml.open == 0


def test_nvidia_without_a_driver_or_with_one_that_fails() -> None:
    class Broken(Nvml):
        def nvmlDeviceGetCount(self) -> int:  # noqa: N802
            raise NVMLError("driver and library differ")

    class Absent(Nvml):
        def nvmlInit(self) -> None:  # noqa: N802
            raise NVMLError("no library")

    broken = Broken()
    assert (nvidia.read(broken), broken.open) == ((), 0)
    assert nvidia.read(Absent()) == ()


def test_amd_by_its_tool() -> None:
    assert reports.rocm_smi(recorded("rocm-smi.json")) == (
        Reading(Gpu("Radeon RX 7900 XT", 21458059264), 21458059264 - 27856896, 0.12),
    )
    assert reports.rocm_smi(recorded("rocm-smi-old.json")) == (
        Reading(Gpu("Arcturus GL-XL [AMD Instinct MI100]", 34342961152)),
        Reading(Gpu("0x0c34", 34342961152)),
    )


def test_intel_by_its_tool() -> None:
    assert reports.xpu_smi_devices(recorded("xpu-smi.json")) == (0,)
    assert reports.xpu_smi_device(recorded("xpu-smi-0.json")) == Reading(
        Gpu("Intel(R) Arc(TM) A770 Graphics", 16225243136), 16200000000
    )


def test_apple_by_its_tool() -> None:
    assert reports.system_profiler(recorded("system_profiler.json")) == (Reading(Gpu("Apple M4 Pro, 20 cores")),)


@given(st.text() | st.sampled_from(["{" * 9999, "[]", "null", '{"device_list":[7]}', '{"SPDisplaysDataType":[7]}']))
def test_what_is_no_report_gives_no_readings(text: str) -> None:
    assert reports.rocm_smi(text) == reports.system_profiler(text) == reports.xpu_smi_devices(text) == ()
    assert reports.xpu_smi_device(text) is None


def card(drm_folder: Path, name: str, **files: str) -> None:
    device = drm_folder / name / "device"
    device.mkdir(parents=True)
    for file, text in files.items():
        (device / file).write_text(text + "\n")


def test_amd_and_intel_by_files(tmp_path: Path) -> None:
    numbers = {"mem_info_vram_total": "1000", "mem_info_vram_used": "400", "gpu_busy_percent": "25"}
    card(tmp_path, "card1", vendor="0x1002", device="0x744c", **numbers)
    card(tmp_path, "card1-HDMI-A-1", vendor="0x1002", device="0x744c", **numbers)
    card(tmp_path, "card0", vendor="0x8086", device="0x56a0")
    card(tmp_path, "card2", vendor="0x10de", device="0x2684")
    card(tmp_path, "card3", vendor="0x1002", device="0x1", product_name="Instinct MI300X", mem_info_vram_total="x")
    (tmp_path / "card4").mkdir()
    amd = (Reading(Gpu("AMD GPU 0x744c", 1000), 600, 0.25), Reading(Gpu("Instinct MI300X")))
    intel = (Reading(Gpu("Intel GPU 0x56a0")),)
    assert drm.read("AMD", tmp_path) == amd
    assert drm.read("Intel", tmp_path) == intel
    assert drm.read(None, tmp_path) == intel + amd
    assert drm.read(None, tmp_path / "nowhere") == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  NVIDIA\tRTX\x1b[31m ", "NVIDIA RTX [31m"),
        ("x" * 63 + " y", "x" * 63),
        ("Größe", "Groe"),
        ("模型", None),
        ("", None),
    ],
)
def test_names_of_hardware_can_be_sent(text: str, name: str | None) -> None:
    found = sendable_name(text)
    assert found == name
    if found:
        assert Gpu(found).name == found


async def test_a_survey_asks_each_maker_and_takes_the_files_where_a_tool_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def tool(*command: str) -> str:
        asked.append(command)
        if command[0] == "xpu-smi":
            return recorded("xpu-smi-0.json" if "-d" in command else "xpu-smi.json")
        return ""

    real = drm.read
    card(tmp_path / "drm", "card0", vendor="0x1002", device="0x744c", mem_info_vram_total="8")
    monkeypatch.setattr(drm, "read", lambda maker=None: real(maker, tmp_path / "drm"))
    monkeypatch.setattr(hardware, "nvidia", lambda: nvidia.read(Nvml()))
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: AMD Ryzen 9 7950X 16-Core Processor\n")
    found = await hardware.survey(tool, tmp_path)
    assert [gpu.name for gpu in found.gpus] == [*Nvml.names, "AMD GPU 0x744c", "Intel(R) Arc(TM) A770 Graphics"]
    assert found.cpu == "AMD Ryzen 9 7950X 16-Core Processor"
    assert found.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert ("xpu-smi", "discovery", "-j", "-d", "0") in asked

    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    5 kB\n")
    now = hardware.machine(tmp_path)
    assert (now.memory_free, now.gpu_memory_free, now.gpu_busy) == (5 * 1024, 24000000000, 0.37)


async def test_a_machine_that_tells_nothing_is_surveyed_too(tmp_path: Path) -> None:
    async def nothing(*_: str) -> str:
        return ""

    found = await hardware.survey(nothing, tmp_path)
    assert found == Hardware(found.cpu, hardware.physical_cores(), found.memory_bytes, found.gpus)


async def test_tools_run_without_a_shell_and_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await hardware.run_tool(sys.executable, "-c", "import sys; print(sys.argv[1:])", "$(id)") == "['$(id)']\n"
    assert await hardware.run_tool(sys.executable, "-c", "print(1); raise SystemExit(3)") == ""
    assert await hardware.run_tool("no-such-program-of-ours") == ""
    monkeypatch.setattr(hardware, "TOOL_TIMEOUT_S", 0.05)
    assert await hardware.run_tool(sys.executable, "-c", "import threading; threading.Event().wait()") == ""


def test_cores_are_counted_once(tmp_path: Path) -> None:
    usable = sorted(os.sched_getaffinity(0))
    for cpu in usable:
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text("the same core\n")
    assert hardware.physical_cores(tmp_path) == 1
    assert hardware.physical_cores(tmp_path / "nowhere") == len(usable)


def header(**metadata: Value) -> Header:
    return Header({"general.architecture": "a", **{f"a.{k.replace('__', '.')}": v for k, v in metadata.items()}}, (), 0)


def test_the_cache_of_a_model() -> None:
    demo = find_demo_model()
    assert demo is not None
    # llama.cpp's own line at verbosity 5: "size = 180.00 MiB (8192 cells, 30 layers, 1/1 seqs)".
    assert cache_bytes(read_model(demo), 8192) == 180 * 2**20
    known: dict[str, Value] = {"block_count": 2, "embedding_length": 64, "attention__head_count": 4}
    assert cache_bytes(header(**known), 10) == 2 * 4 * (16 + 16) * 2 * 10
    own = {"attention__head_count_kv": (0, 2), "attention__key_length": 8, "attention__value_length": 4}
    assert cache_bytes(header(**known, **own), 10) == 2 * 2 * (8 + 4) * 2 * 10
    for name in known:
        assert cache_bytes(header(**{**known, name: -1}), 10) is None
    assert memory_limit(100, None) == 2**30 + 100
    assert memory_limit(100, 50) == 2**30 + 200


def test_what_a_process_holds(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert resident_bytes(process.pid) is None
    held = resident_bytes(os.getpid())
    assert held is not None
    assert held > 2**20
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name: x\nVmRSS:\t   12 kB\n")
    assert resident_bytes(7, tmp_path) == 12 * 1024
