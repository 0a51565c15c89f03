"""Who may import what in the plugin."""

import ast
from pathlib import Path

import lightphon_backend_openclaw

PACKAGE = Path(lightphon_backend_openclaw.__file__ or "").parent
HTTP = {"httpx": {"transport.py", "upstream.py"}, "aiohttp": {"transport.py"}}
PURE = {"addresses.py", "conditions.py", "failures.py", "instances.py", "listing.py", "settings.py"}
"""Neither wait nor look at anything but what they are given."""
IO = {"asyncio", "httpx", "aiohttp", "socket", "time", "os", "pathlib", "structlog"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_libraries_and_the_core_stay_where_they_belong() -> None:
    seen = set()
    for path in PACKAGE.glob("*.py"):
        found = imports(path)
        roots = {name.split(".")[0] for name in found}
        for library, modules in HTTP.items():
            assert library not in roots or path.name in modules, f"{path.name} imports {library}"
        assert not any(name.startswith("lightphon_core.") for name in found), f"{path.name}: its public face"
        assert "lightphon_backend_gguf" not in roots
        if path.name in PURE:
            seen.add(path.name)
            assert not roots & IO, f"{path.name} imports {roots & IO}"
    assert seen == PURE
