"""Where the inference routes are mounted, and which paths are theirs."""

ROOTS = frozenset({"v1", "chat", "completions", "fim", "embeddings", "models"})
"""The first parts of paths that are for inference alone; whatever lies below them is too."""
ALSO_OPEN = ("/api/agent/", "/schema/")
OPEN_ALONE = frozenset({"/schema", "/api/models/route"})


def with_prefixes(path: str) -> list[str]:
    """One inference route in all its places: with and without /v1, as OpenAI's SDKs append to whatever base URL they
    were given, and both again under an agent token."""
    assert is_open(path), f"add the first part of {path} to ROOTS, or browsers cannot call it"
    return [prefix + path for prefix in ("/v1", "", "/api/agent/{token:str}/v1", "/api/agent/{token:str}")]


def is_open(path: str) -> bool:
    """Whether pages of every origin may call what is there: inference, by a key that the page has, and the schema.
    Cookies open none of it."""
    first = path.removeprefix("/").partition("/")[0]
    return first in ROOTS or path in OPEN_ALONE or path.startswith(ALSO_OPEN)
