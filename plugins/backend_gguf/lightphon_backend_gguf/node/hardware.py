"""What this machine has to compute with."""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


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
