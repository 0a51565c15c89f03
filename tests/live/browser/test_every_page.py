"""Every page, light and dark, on a desk and on a phone: nothing serious for axe-core, nothing sideways, no error.

With LIGHTPHON_TEST_SCREENSHOTS it also makes the pictures of docs/screenshots/, in that folder.
"""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

PUBLIC = ("/", "/register", "/login", "/guide", "/download", "/status")
OWN = ("/playground", "/router", "/wallet", "/nodes", "/usage")
ADMINISTRATORS = ("/admin",)
LOOKS = [(False, False), (True, False), (False, True), (True, True)]


def picture(page, path, *, dark, phone):
    if (folder := os.environ.get("LIGHTPHON_TEST_SCREENSHOTS")) and not (phone and dark):
        name = path.strip("/").replace("/", "-") or "home"
        looks = "phone" if phone else "dark" if dark else "light"
        page.screenshot(path=Path(folder) / f"{name}-{looks}.png")


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
@pytest.mark.parametrize("path", PUBLIC)
def test_for_everybody(visit, path, dark, phone):
    visitor = visit(dark=dark, phone=phone)
    page = visitor.opens(path)
    visitor.check_accessible()
    picture(page, path, dark=dark, phone=phone)
