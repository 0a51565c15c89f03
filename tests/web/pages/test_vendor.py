"""The scripts of other people are what was pinned, or they are not there; with an npm that is told what to give."""

import base64
import importlib.util
import io
import sys
import tarfile
import types
from pathlib import Path

import pytest

import lightphon_core
from lightphon_core.web.pages import vendor

NPM = """#!{python}
import pathlib, sys
name, into = sys.argv[2], pathlib.Path(sys.argv[sys.argv.index("--pack-destination") + 1])
given = pathlib.Path({given!r})
with (given / "asked").open("a") as asked:
    asked.write(name + "\\n")
if (given / "offline").exists():
    sys.exit("npm error network: nobody answers")
(into / (name + ".tgz")).write_bytes((given / name).read_bytes())
"""
PIN = """[widget]
version = "1.2.3"
integrity = "{integrity}"
files = {{ "dist/w.mjs" = "widget.js", "LICENSE" = "w.txt" }}
"""


def tarball(**files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in {"dist/w.mjs": "export {}", "LICENSE": "as you like", "evil.js": "x", **files}.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


class Registry:
    """What npm would give, and where it is to go."""

    def __init__(self, folder):
        self.folder, self.pins, self.into = folder, folder / "vendor.toml", folder / "assets" / "vendor"
        self.offer(tarball())
        self.pin(tarball())

    def offer(self, data):
        (self.folder / "widget@1.2.3").write_bytes(data)

    def pin(self, data):
        self.pins.write_text(PIN.format(integrity=vendor.integrity_of(data)))

    def bring(self):
        return vendor.bring(self.pins, self.into)

    @property
    def asked(self):
        asked = self.folder / "asked"
        return len(asked.read_text().splitlines()) if asked.exists() else 0

    @property
    def files(self):
        return sorted(path.name for path in self.into.iterdir()) if self.into.exists() else []


@pytest.fixture
def registry(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "npm").write_text(NPM.format(python=sys.executable, given=str(tmp_path)))
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return Registry(tmp_path)


def test_it_brings_what_is_pinned_once(registry):
    assert registry.bring() is True
    assert registry.files == [vendor.RECORD, "w.txt", "widget.js"]
    assert (registry.into / "widget.js").read_text() == "export {}"
    assert registry.bring() is False
    assert registry.asked == 1
    (registry.into / "widget.js").write_text("export {} // and more")
    assert registry.bring() is True
    assert (registry.into / "widget.js").read_text() == "export {}"
    newer = tarball(**{"dist/w.mjs": "export { newer }"})
    registry.offer(newer)
    registry.pin(newer)
    assert registry.bring() is True
    assert (registry.into / "widget.js").read_text() == "export { newer }"
    (registry.into / vendor.RECORD).write_text('{"pins":')  # cut off
    assert registry.bring() is True


def test_another_tarball_than_the_one_that_is_pinned_is_refused(registry):
    registry.offer(tarball(**{"dist/w.mjs": "steal()"}))
    with pytest.raises(vendor.VendorError, match=r"is not what vendor\.toml pins"):
        registry.bring()
    assert registry.files == []


def test_a_tarball_without_a_file_that_is_wanted_is_refused(registry):
    registry.pins.write_text(registry.pins.read_text().replace("dist/w.mjs", "dist/none.mjs"))
    with pytest.raises(vendor.VendorError, match=r"has no file dist/none\.mjs"):
        registry.bring()
    assert registry.files == []


def test_npm_may_be_out_of_reach_or_not_there(registry, monkeypatch):
    (registry.folder / "offline").touch()
    with pytest.raises(vendor.NotBrought, match=r"could not bring widget@1\.2\.3 \(network: nobody answers\)\."):
        registry.bring()
    monkeypatch.setenv("PATH", str(registry.folder / "nothing"))
    with pytest.raises(vendor.NotBrought, match="There is no npm"):
        registry.bring()
    assert registry.files == []


def test_a_build_goes_on_without_npm_with_one_warning_and_stops_at_another_tarball(registry, monkeypatch):
    """With all of hatchling that the hook needs; .ci/wheels builds with the real one."""
    root = registry.folder / "source"
    (copied := root / "lightphon_core" / "web" / "pages").mkdir(parents=True)
    (copied / "vendor.py").write_bytes(Path(vendor.__file__).read_bytes())
    (copied / "vendor.toml").write_bytes(registry.pins.read_bytes())
    warnings = []

    class BuildHookInterface:
        def __init__(self):
            self.root, self.app = str(root), types.SimpleNamespace(display_warning=warnings.append)

    interface = types.ModuleType("interface")
    interface.BuildHookInterface = BuildHookInterface
    for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "hatchling.builders.hooks.plugin.interface", interface)
    monkeypatch.setitem(sys.modules, "lightphon_vendor", None)  # put there by the hook, and gone after the test
    path = Path(lightphon_core.__file__).parents[1] / ".ci/hatch_build.py"
    spec = importlib.util.spec_from_file_location("hatch_build_of_the_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hook = module.VendorHook()

    with monkeypatch.context() as without:
        without.setenv("PATH", str(registry.folder / "nothing"))
        hook.initialize("editable", {})
    (said,) = warnings
    assert "There is no npm" in said
    assert "plain text" in said
    hook.initialize("standard", {})
    assert (copied / "assets" / "vendor" / "widget.js").read_text() == "export {}"
    registry.offer(tarball(LICENSE="other"))
    (copied / "assets" / "vendor" / "w.txt").unlink()
    with pytest.raises(Exception, match=r"is not what vendor\.toml pins"):
        hook.initialize("standard", {})
    assert len(warnings) == 1


def test_our_own_pins_are_exact_and_bring_licences():
    packages = vendor.read_pins(vendor.PINS.read_text())
    assert {package.name for package in packages} == {"marked", "dompurify"}
    for package in packages:
        algorithm, _, digest = package.integrity.partition("-")
        assert algorithm == "sha512"
        assert len(base64.b64decode(digest, validate=True)) == 64
        assert package.version.count(".") == 2
        assert any(name.startswith("LICENSE") for name in package.files)
    names = [ours for package in packages for ours in package.files.values()]
    assert len(set(names)) == len(names)
    assert all(Path(name).name == name and Path(name).suffix in (".js", ".txt") for name in names)
