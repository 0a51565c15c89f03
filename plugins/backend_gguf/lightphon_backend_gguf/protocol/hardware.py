"""What a node says of the machine that it runs on."""

from attrs import field, frozen

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.fields import a_name, many, maybe_name, number, whole


@frozen
class Gpu:
    """One GPU: its maker's name for it, and its memory in bytes. Memory that it shares with the CPU is not its own."""

    name: str = field(validator=a_name)
    memory_bytes: int | None = field(default=None, validator=whole(0, limits.BYTES, optional=True))


@frozen
class Hardware:
    """What the node computes with: CPU, cores that it may use, memory in bytes, GPUs. Comes after hello, once."""

    cpu: str | None = field(default=None, validator=maybe_name)
    cores: int | None = field(default=None, validator=whole(1, 2**20, optional=True))
    memory_bytes: int | None = field(default=None, validator=whole(0, limits.BYTES, optional=True))
    gpus: tuple[Gpu, ...] = field(default=(), validator=many(limits.GPUS, lambda v: isinstance(v, Gpu), "GPUs"))


@frozen
class Machine:
    """How busy the machine is: what is free of its memory, and of that of all its GPUs together, in bytes.

    `gpu_busy` is from 0 to 1, of the busiest GPU. What the machine does not tell is None.
    """

    memory_free: int | None = field(default=None, validator=whole(0, limits.BYTES, optional=True))
    gpu_memory_free: int | None = field(default=None, validator=whole(0, limits.BYTES, optional=True))
    gpu_busy: float | None = field(default=None, validator=number(0, 1, optional=True))
