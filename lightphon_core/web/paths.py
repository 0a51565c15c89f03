"""Where the inference routes are mounted."""


def with_prefixes(path: str) -> list[str]:
    """One inference route in all its places: with and without /v1, as OpenAI's SDKs append to whatever base URL they
    were given, and both again under an agent token."""
    return [prefix + path for prefix in ("/v1", "", "/api/agent/{token:str}/v1", "/api/agent/{token:str}")]
