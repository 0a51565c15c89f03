"""The arrows of docs/architecture.md: who may import whom. Read from the source, so that a lazy import counts too."""

import ast
from pathlib import Path

import lightphon_core

CORE = Path(lightphon_core.__file__).parent
EVERYWHERE = {
    "",
    "types",
    "money",
    "errors",
    "ports",
    "settings",
    "log",
    "host",
    "hookspecs",
}
"""What anything may import; "" is the package's public face."""
MAY_IMPORT = {
    "openai": set(),
    "storage": set(),
    "routing": set(),
    "rates": set(),
    "accounts": {"storage"},
    "ledger": {"storage"},
    "serving": {"openai", "routing", "accounts", "ledger"},
    "payments": {"rates", "ledger", "storage"},
    "plugins": set(),
    "web": {"openai", "serving", "payments", "rates", "routing", "accounts", "ledger", "storage", "plugins"},
    "cli": {"openai", "serving", "payments", "rates", "routing", "accounts", "ledger", "storage", "plugins", "web"},
}
"""Rooms and the rooms below them. `testing` may use all."""
ONE_MODULE_ONLY = {
    "sqlalchemy": {"storage", "accounts", "ledger", "payments"},
    "uvicorn": {"web"},
    "alembic": {"storage"},
    "argon2": {"accounts"},
    "httpx": {"rates", "cli"},
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(name: str) -> str:
    """The first part of a module's name inside the core; "" for a name of the public face."""
    part = name.removeprefix("lightphon_core").removeprefix(".").split(".")[0]
    return part if (CORE / part).is_dir() or (CORE / f"{part}.py").exists() else ""


def test_arrows_run_one_way():
    wrong = []
    for path in CORE.rglob("*.py"):
        room = room_of("lightphon_core." + path.relative_to(CORE).parts[0].removesuffix(".py"))
        if room in ("testing", "__init__", "__main__"):
            continue
        allowed = EVERYWHERE | MAY_IMPORT.get(room, set()) | {room}
        own = [name for name in imports(path) if name.split(".")[0] == "lightphon_core"]
        wrong += [f"{path.relative_to(CORE)} imports {name}" for name in own if room_of(name) not in allowed]
    assert not wrong, "\n".join(wrong)


def test_the_core_knows_no_plugin():
    for path in CORE.rglob("*.py"):
        assert not any(
            name.startswith("lightphon_") and not name.startswith("lightphon_core") for name in imports(path)
        )


def test_libraries_stay_in_their_rooms():
    for path in CORE.rglob("*.py"):
        room = path.relative_to(CORE).parts[0]
        for name in imports(path):
            rooms = ONE_MODULE_ONLY.get(name.split(".")[0])
            assert rooms is None or room in rooms or room == "testing", f"{path.relative_to(CORE)} imports {name}"


def test_the_rates_are_asked_for_in_one_module():
    assert [path.name for path in (CORE / "rates").rglob("*.py") if "httpx" in imports(path)] == ["inquiry.py"]


def test_pure_rooms_do_no_io():
    for path in (CORE / "openai").rglob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"asyncio", "socket", "time", "pathlib", "os", "httpx", "litestar"}, path.name


PAGES = CORE / "web" / "pages"
PAGES_MAY_IMPORT = {"frame": set(), "router": {"guide"}}
"""Families of pages know the frame, and one another only where it is said here; the frame knows none of them."""


def test_families_of_pages_stand_beside_one_another():
    wrong = []
    for folder in (each for each in PAGES.iterdir() if (each / "__init__.py").exists()):
        allowed = {folder.name, "frame", *PAGES_MAY_IMPORT.get(folder.name, ())}
        for path in folder.rglob("*.py"):
            beside = [name.split(".") for name in imports(path) if name.startswith("lightphon_core.web.pages.")]
            wrong += [f"{path.relative_to(CORE)} imports {'.'.join(name)}" for name in beside if name[3] not in allowed]
    assert not wrong, "\n".join(wrong)


def test_templates_and_codes_are_made_in_the_frame_and_at_the_wallet():
    users = {"jinja2": {"frame/rendering.py", "frame/plugin_pages.py"}, "segno": {"wallet/qr.py"}}
    for library, modules in users.items():
        found = {path for path in PAGES.rglob("*.py") if any(name.split(".")[0] == library for name in imports(path))}
        assert {str(path.relative_to(PAGES)) for path in found} == modules
