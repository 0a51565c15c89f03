"""Finding, checking and refusing plugins: one message, which names the plugin and the cause."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from lightphon_core import Backend, Scorer, hookimpl
from lightphon_core.cli import build
from lightphon_core.errors import PluginError, SettingsError
from lightphon_core.plugins import Plugins, Source, installed
from lightphon_core.settings import PluginsSettings, RoutingSettings, Settings
from lightphon_core.storage.engine import Database
from lightphon_core.testing import LiveServer, ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.web.app import create_app
from lightphon_core.web.assembly import assemble


def source(cls: Any, name: str = "odd") -> Source:
    return Source(name, "odd-package", "1.2", lambda: cls)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/db") as opened:
        yield opened


class Plain:
    def __init__(self, host: Any) -> None:
        self.host = host


class OfOneGateway(Plain):
    gateways = "Claw"  # ("Claw") is no tuple, and meant as one


class RaisesWhenBuilt(Plain):
    def __init__(self, host: Any) -> None:
        raise ValueError("no GPU today")


class Misspelt(Plain):
    @hookimpl
    def register_backend(self) -> list[Backend]:
        return []


class Unmarked(Plain):
    def register_backends(self) -> list[Backend]:
        return []


class RaisesInAHook(Plain):
    @hookimpl
    def register_scorers(self) -> list[Scorer]:
        raise KeyError("weights")


class ReturnsNonsense(Plain):
    @hookimpl
    def register_backends(self) -> list[Any]:
        return ["a string"]


class NeedsAUrl(Plain):
    @attrs.frozen
    class settings:  # noqa: N801 - the name that the core reads
        url: str


def _cannot_be_imported() -> Any:
    raise ImportError("No module named 'cuda'")


BROKEN = {
    "import": (Source("odd", "p", "1", _cannot_be_imported), ("cannot be imported", "No module named 'cuda'")),
    "constructor": (source(RaisesWhenBuilt), ("cannot be built", "no GPU today")),
    "misspelt hook": (source(Misspelt), ("register_backend", "register_backends")),
    "unmarked hook": (source(Unmarked), ("register_backends", "@hookimpl")),
    "raising hook": (source(RaisesInAHook), ("register_scorers failed", "weights")),
    "wrong object": (source(ReturnsNonsense), ("str", "Backend")),
    "missing setting": (source(NeedsAUrl), ("url",)),
}


@pytest.mark.parametrize(("broken", "words"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_stops_the_server_with_one_message(tmp_path, database, broken, words):
    with pytest.raises(PluginError) as error:
        create_app(Settings(data_dir=tmp_path), database, {}, sources=[broken])
    assert error.value.plugin == "odd"
    assert "'odd'" in error.value.message
    for word in words:
        assert word in error.value.message


def test_an_unknown_setting_names_plugin_and_key(tmp_path, database):
    tables = PluginsSettings(tables={"odd": {"url": "http://x", "ulr": "http://x"}})
    with pytest.raises(PluginError, match=r"'odd'.*ulr") as error:
        create_app(Settings(data_dir=tmp_path, plugins=tables), database, {}, sources=[source(NeedsAUrl)])
    assert isinstance(error.value.__cause__, SettingsError)


def test_settings_reach_the_plugin_from_file_and_environment(tmp_path, database):
    settings = Settings(data_dir=tmp_path, plugins=PluginsSettings(tables={"odd": {"url": "http://file"}}))
    built: list[Any] = []

    class Keeps(NeedsAUrl):
        def __init__(self, host: Any) -> None:
            built.append(host.settings)

    for environ in ({}, {"LIGHTPHON_PLUGINS_ODD_URL": "http://environment"}):
        create_app(settings, database, environ, sources=[source(Keeps)])
    assert [each.url for each in built] == ["http://file", "http://environment"]


def test_two_plugins_of_one_name_and_two_backends_of_one_name(tmp_path, database):
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(PluginError, match=r"taken twice.*odd-package"):
        create_app(settings, database, {}, sources=[source(Plain), source(Plain)])
    twins = [plugin_of(ScriptedBackend(says("x")), name=name) for name in ("one", "two")]
    with pytest.raises(PluginError, match=r"'two'.*'scripted' is taken by plugin 'one'"):
        create_app(settings, database, {}, sources=twins)


def test_a_backend_that_fails_to_start_stops_the_server(tmp_path):
    class Stuck(ScriptedBackend):
        async def start(self) -> None:
            raise OSError("port is taken")

    with pytest.raises(PluginError, match="Plugin 'stuck': cannot be started: OSError: port is taken"):
        LiveServer(Settings(data_dir=tmp_path), sources=[plugin_of(Stuck(says("x")), name="stuck")]).__enter__()


def test_block_allow_and_order(tmp_path, database):
    sources = [plugin_of(ScriptedBackend(says("x"), name=name), name=name) for name in ("a", "b", "c")]

    def states(**options: Any) -> dict[str, str]:
        settings = Settings(data_dir=tmp_path, plugins=PluginsSettings(**options))
        found = assemble(settings, database, {}, sources=sources).plugins.plugins
        return {plugin.name: plugin.state for plugin in found if plugin.name in "abc"}

    assert states(block=("b",)) == {"a": "ready", "b": "blocked", "c": "ready"}
    assert states(allow=("accounts", "c")) == {"a": "blocked", "b": "blocked", "c": "ready"}
    assert list(states(order=("c", "a"))) == ["c", "a", "b"]


def test_a_blocked_plugin_is_not_even_imported(tmp_path, database):
    settings = Settings(data_dir=tmp_path, plugins=PluginsSettings(block=("odd",)))
    create_app(settings, database, {}, sources=[Source("odd", "p", "1", _cannot_be_imported)])


def test_the_gateways_that_plugins_name():
    sources = [
        plugin_of(ScriptedBackend(says("x"), gateway="Acme"), name="a"),
        source(Plain, "b"),
        source(OfOneGateway, "c"),
    ]
    assert Plugins(sources, allow=None, block=(), order=()).gateways() == {"acme", "claw"}
    assert Plugins(sources, allow=None, block=("c",), order=()).gateways() == {"acme"}


def test_weights_must_name_scorers(tmp_path, database):
    settings = Settings(data_dir=tmp_path, routing=RoutingSettings(weights={"sped": 1}))
    with pytest.raises(SettingsError, match=r"'sped'.*affinity, availability, capability, price, speed"):
        create_app(settings, database, {}, sources=[])


def test_lightphon_plugins_still_runs_and_shows_what_is_wrong(tmp_path, monkeypatch):
    broken = Source("odd", "odd-package", "1.2", _cannot_be_imported)
    monkeypatch.setattr("lightphon_core.web.assembly.installed", lambda: [broken])
    run = CliRunner().invoke(build(), ["plugins", "--json", "--data-dir", str(tmp_path)])
    assert run.exit_code == 1, run.output
    listed = {each["name"]: each for each in json.loads(run.stdout)["plugins"]}
    assert listed["accounts"]["hooks"] == ["register_authenticators"]
    assert listed["odd"]["state"] == "broken"
    assert "No module named 'cuda'" in listed["odd"]["error"]
    text = CliRunner().invoke(build(), ["plugins", "--data-dir", str(tmp_path)])
    assert "Traceback" in text.output
    assert "_cannot_be_imported" in text.output


def test_serve_refuses_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("lightphon_core.web.assembly.installed", lambda: [source(RaisesWhenBuilt)])
    run = CliRunner().invoke(build(), ["serve", "--port", "0", "--data-dir", str(tmp_path)])
    assert run.exit_code == 2
    assert run.stderr.strip().splitlines()[-1] == "Error: Plugin 'odd': cannot be built: ValueError: no GPU today"


def test_what_is_installed_can_be_listed():
    assert [each.name for each in installed()] == sorted(each.name for each in installed())
