"""What the makers' own tools say of GPUs. Pure: text in, readings out; text that is not theirs gives no readings."""

import json
import re
from typing import Any

from lightphon_backend_gguf.node.gpus.reading import Reading, sendable_name
from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.hardware import Gpu

ROCM_SMI = ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--showuse", "--json")
XPU_SMI = ("xpu-smi", "discovery", "-j")
SYSTEM_PROFILER = ("system_profiler", "SPDisplaysDataType", "-json")


def rocm_smi(text: str) -> tuple[Reading, ...]:
    """AMD's `ROCM_SMI`: an object for each card, whose names are written with capitals or without, by version."""
    readings = []
    for name, fields in _object(text).items():
        if not (name.startswith("card") and isinstance(fields, dict)):
            continue
        card = {str(key).lower(): value for key, value in fields.items()}
        total, used = _whole(card.get("vram total memory (b)")), _whole(card.get("vram total used memory (b)"))
        percent = _whole(card.get("gpu use (%)"))
        called = next((card[key] for key in ("card series", "device name", "card model") if _tells(card.get(key))), "")
        readings.append(
            Reading(
                Gpu(sendable_name(called) or "AMD GPU", total),
                free=max(0, total - used) if total is not None and used is not None else None,
                busy=min(percent, 100) / 100 if percent is not None else None,
            )
        )
    return tuple(readings[: limits.GPUS])


def xpu_smi_devices(text: str) -> tuple[int, ...]:
    """The ids of the GPUs in Intel's `XPU_SMI`. What each is comes from the same with `-d ID`."""
    listed = _object(text).get("device_list")
    ids = (
        [_whole(item.get("device_id")) for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    )
    return tuple(one for one in ids if one is not None)[: limits.GPUS]


def xpu_smi_device(text: str) -> Reading | None:
    """One GPU, of Intel's `XPU_SMI` with `-d ID`."""
    device = _object(text)
    name = device.get("device_name")
    if not isinstance(name, str):
        return None
    total, free = _whole(device.get("memory_physical_size_byte")), _whole(device.get("memory_free_size_byte"))
    return Reading(Gpu(sendable_name(name) or "Intel GPU", total), free)


def system_profiler(text: str) -> tuple[Reading, ...]:
    """Apple's `SYSTEM_PROFILER`. Its GPUs share the memory of the CPU."""
    listed = _object(text).get("SPDisplaysDataType")
    readings = []
    for item in listed if isinstance(listed, list) else []:
        model = item.get("sppci_model") if isinstance(item, dict) else None
        if isinstance(model, str) and (name := sendable_name(model)):
            cores = _whole(item.get("sppci_cores"))
            readings.append(Reading(Gpu(sendable_name(f"{name}, {cores} cores") or name if cores else name)))
    return tuple(readings[: limits.GPUS])


def _object(text: str) -> dict[str, Any]:
    """The JSON object in the text, which warnings may surround; empty if there is none."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    text = str(value)
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None


def _tells(value: object) -> bool:
    return isinstance(value, str) and value not in ("", "N/A")
