"""NVIDIA's GPUs, through their driver's own library. The only module that imports pynvml."""

from typing import Any

import pynvml

from lightphon_backend_gguf.node.gpus.reading import Reading, sendable_name
from lightphon_backend_gguf.protocol.hardware import Gpu


def read(nvml: Any = pynvml) -> tuple[Reading, ...]:
    """The GPUs that the driver shows; none where there is no driver. Takes some milliseconds."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return ()
    try:
        return tuple(
            _device(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(nvml.nvmlDeviceGetCount())
        )
    except nvml.NVMLError:
        return ()
    finally:
        nvml.nvmlShutdown()


def _device(nvml: Any, handle: Any) -> Reading:
    """One GPU. Not every GPU tells everything: in a virtual machine, say, or with memory shared with the CPU."""
    total = free = busy = None
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, free = int(memory.total), int(memory.free)
        busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except nvml.NVMLError:
        pass
    return Reading(Gpu(sendable_name(nvml.nvmlDeviceGetName(handle)) or "NVIDIA GPU", total), free, busy)
