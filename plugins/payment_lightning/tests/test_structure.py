"""Who may import what in the plugin."""

import ast
from pathlib import Path

import lightphon_payment_lightning

PACKAGE = Path(lightphon_payment_lightning.__file__ or "").parent
ONE_MODULE_ONLY = {
    "bolt11": {"invoices.py"},
    "httpx": {"daemon.py", "guarded.py", "demo_command.py"},
    "websockets": {"phoenixd.py", "lnbits.py"},
}
PURE = {"addresses.py", "invoices.py", "network.py", "public.py", "settings.py"}
"""Neither wait nor look at anything but what they are given."""
IO = {"asyncio", "httpx", "websockets", "socket", "time", "os", "structlog"}


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
    for path in PACKAGE.rglob("*.py"):
        if "testing" in path.parts:
            continue
        found = imports(path)
        roots = {name.split(".")[0] for name in found}
        for library, modules in ONE_MODULE_ONLY.items():
            assert library not in roots or path.name in modules, f"{path.name} imports {library}"
        assert not any(name.startswith("lightphon_core.") for name in found), f"{path.name}: its public face"
        assert not any(root.startswith("lightphon_backend") for root in roots)
        if path.parent == PACKAGE and path.name in PURE:
            seen.add(path.name)
            assert not roots & IO, f"{path.name} imports {roots & IO}"
    assert seen == PURE
