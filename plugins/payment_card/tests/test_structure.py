"""Who may import what in the plugin."""

import ast
from pathlib import Path

import lightphon_payment_card

PACKAGE = Path(lightphon_payment_card.__file__ or "").parent
ONE_MODULE_ONLY = {"stripe": {"api.py", "connection.py", "events.py"}, "httpx": {"connection.py"}}
PURE = {"events.py", "reversals.py", "sessions.py", "settings.py"}
"""Neither wait nor look at anything but what they are given; Stripe's library looks at the clock for `events.py`."""
IO = {"asyncio", "httpx", "socket", "time", "os", "structlog"}


def imports(nodes: list[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
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
        found = imports(list(ast.walk(ast.parse(path.read_text()))))
        roots = {name.split(".")[0] for name in found}
        for library, modules in ONE_MODULE_ONLY.items():
            assert library not in roots or path.name in modules, f"{path.name} imports {library}"
        assert not any(name.startswith("lightphon_core.") for name in found), f"{path.name}: its public face"
        assert not any(root.startswith(("lightphon_backend", "lightphon_payment_lightning")) for root in roots)
        assert not any(name.startswith("lightphon_payment_card.testing") for name in found), path.name
        if path.name in PURE:
            seen.add(path.name)
            assert not roots & IO, f"{path.name} imports {roots & IO}"
    assert seen == PURE


def test_who_takes_no_cards_loads_no_library_of_stripe() -> None:
    loaded = imports(list(ast.parse((PACKAGE / "plugin.py").read_text()).body))
    assert {name for name in loaded if name.startswith("lightphon_payment_card")} == {"lightphon_payment_card.settings"}
