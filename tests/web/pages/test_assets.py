"""Stylesheets and scripts: kept for good under an address that has their version, and whole."""

import gzip
import re
from importlib.resources import files
from pathlib import Path
from posixpath import dirname, normpath

import pytest

from lightphon_core.web.pages.frame.assets import FOREVER, load_assets

ASSETS = load_assets()


@pytest.mark.parametrize("path", sorted(ASSETS.files))
def test_each_is_sent_as_what_it_is(people, path):
    answer = people().get(ASSETS.url(path), headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.content == ASSETS.files[path].data  # httpx unpacks
    assert answer.headers["cache-control"] == FOREVER
    assert answer.headers["x-content-type-options"] == "nosniff"
    kinds = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    assert answer.headers["content-type"] == kinds[path.rpartition(".")[2]]


def test_plain_for_who_does_not_unpack(people):
    answer = people().get(ASSETS.url("js/app.js"), headers={"accept-encoding": "identity"})
    assert "content-encoding" not in answer.headers
    packed = ASSETS.files["js/app.js"].packed
    assert packed is not None
    assert gzip.decompress(packed) == answer.content


def test_an_address_of_another_version_is_served_and_not_kept(people):
    answer = people().get("/assets/000000000000/css/base.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["js/nothing.js", "../rendering.py", "%2e%2e/rendering.py", "js", ""])
def test_nothing_else_is_served(people, path):
    assert people().get(f"/assets/{ASSETS.version}/{path}").status_code == 404


def test_the_version_changes_with_the_files(tmp_path):
    (tmp_path / "a.js").write_text("1")
    before = load_assets(tmp_path).version
    assert load_assets(tmp_path).version == before
    (tmp_path / "a.js").write_text("2")
    assert load_assets(tmp_path).version != before


def test_scripts_import_what_is_there():
    for path, asset in ASSETS.files.items():
        if path.startswith("js/"):
            for name in re.findall(rb"""(?:from |import |import\()"(\.[^"]+)\"""", asset.data):
                found = normpath(f"{dirname(path)}/{name.decode()}")
                assert found in ASSETS.files or found.startswith("vendor/"), f"{path} imports {name!r}"


def test_templates_name_assets_that_are_there():
    templates = Path(str(files("lightphon_core.web.pages") / "templates")).rglob("*.html")
    for template in templates:
        for path in re.findall(r"""asset\(['"]([^'"]+)['"]\)""", template.read_text("utf-8")):
            assert ASSETS.has(path) or path.startswith("vendor/"), f"{template.name}: {path}"


def test_colours_stand_in_the_tokens_alone():
    for path, asset in ASSETS.files.items():
        if path.startswith("css/") and path != "css/tokens.css":
            for line in asset.data.decode().splitlines():
                assert not re.search(r"#[0-9a-fA-F]{3,8}\b", line), f"{path}: {line}"
