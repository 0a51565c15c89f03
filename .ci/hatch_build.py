"""What building lightphon-core does beside collecting its files: it brings the scripts of other people that its pages
use. Without npm it goes on, and the playground shows answers as plain text."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class VendorHook(BuildHookInterface):
    """Runs before the files of any target are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        vendor = _vendor(Path(self.root))
        try:
            vendor.bring()
        except vendor.NotBrought as error:
            self.app.display_warning(
                f"{error} Without its scripts from npm the playground shows answers as plain text. "
                "Later: python -m lightphon_core.web.pages.vendor"
            )


def _vendor(root: Path) -> ModuleType:
    """The module by its path: the package around it needs what is not installed here."""
    path = root / "lightphon_core" / "web" / "pages" / "vendor.py"
    spec = importlib.util.spec_from_file_location("lightphon_vendor", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
