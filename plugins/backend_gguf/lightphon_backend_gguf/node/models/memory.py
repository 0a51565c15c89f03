"""How much memory a model takes: estimates from its metadata, and what a process really holds."""

from pathlib import Path

from lightphon_backend_gguf.node.models.gguf import Header

GIB = 2**30
_F16_BYTES = 2


def cache_bytes(header: Header, tokens: int) -> int | None:
    """The key-value cache for so many tokens, all slots together, at 16 bits a number; None where the metadata do not
    tell. From above: layers with a sliding window or without attention take less."""
    layers, width = _whole(header, "block_count"), _whole(header, "embedding_length")
    heads = _most(header, "attention.head_count")
    if not (layers and width and heads):
        return None
    kv_heads = _most(header, "attention.head_count_kv") or heads
    key = _whole(header, "attention.key_length") or width // heads
    value = _whole(header, "attention.value_length") or width // heads
    return layers * kv_heads * (key + value) * _F16_BYTES * tokens


def memory_limit(file_bytes: int, cache: int | None) -> int:
    """Bytes that an engine may hold before it is taken to leak, by the estimate of what it needs."""
    return file_bytes + 2 * (cache or 0) + GIB


def resident_bytes(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Bytes of physical memory that a process holds; None if that cannot be told, as when it has ended."""
    try:
        for line in (proc / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _whole(header: Header, key: str) -> int:
    """A positive whole number of the model's architecture; 0 where there is none."""
    value = header.metadata.get(f"{header.metadata.get('general.architecture')}.{key}")
    return value if type(value) is int and 0 < value < 2**31 else 0


def _most(header: Header, key: str) -> int:
    """The same, where each layer may have a number of its own: the highest."""
    value = header.metadata.get(f"{header.metadata.get('general.architecture')}.{key}")
    if isinstance(value, tuple):
        return max((one for one in value if type(one) is int and 0 < one < 2**31), default=0)
    return _whole(header, key)
