"""Servers from a settings file and from variables."""

from pathlib import Path

import pytest
from lightphon_backend_openclaw.instances import Instance, instances_of
from lightphon_backend_openclaw.plugin import OpenClaw
from lightphon_backend_openclaw.settings import Kind, OpenClawSettings

from lightphon_core import Capability, Price, Secret, SettingsError
from lightphon_core.settings import load, plugin_settings

BASE = {"OPENCLAW_BASE_URL": "http://127.0.0.1:28799/v1/"}


def instances(tmp_path: Path, toml: str = "", **environ: str) -> list[Instance]:
    config = tmp_path / "lightphon.toml"
    config.write_text(toml)
    settings = load(config, environ)
    return instances_of(plugin_settings(settings, "openclaw", OpenClawSettings, environ))


def test_the_plugin_names_the_gateways_that_its_nodes_may_be() -> None:
    """A key's `used_by` is checked against these names, and compared with those of the nodes."""
    nodes = [Instance("one", kind, "http://127.0.0.1:1").node for kind in Kind]
    assert {node.gateway for node in nodes} - {None} == set(OpenClaw.gateways)


def test_the_variables_that_users_know(tmp_path: Path) -> None:
    assert instances(tmp_path) == []
    assert instances(tmp_path, OPENCLAW_ENABLED="false") == []
    assert instances(tmp_path, **BASE, OPENCLAW_ENABLED="false") == []
    assert instances(tmp_path, **BASE) == [Instance("OpenClaw", Kind.OPENCLAW, "http://127.0.0.1:28799")]
    (told,) = instances(
        tmp_path,
        **BASE,
        OPENCLAW_ENABLED="true",
        OPENCLAW_API_KEY="very-secret",
        OPENCLAW_NODE_NAME="Claw",
        OPENCLAW_PRICE="0.5",
        OPENCLAW_TIMEOUT="30",
        OPENCLAW_MODELS="openclaw, openclaw/main",
    )
    assert told == Instance(
        name="Claw",
        kind=Kind.OPENCLAW,
        url="http://127.0.0.1:28799",
        key=Secret("very-secret"),
        price=Price(per_minute=500),
        timeout_s=30,
        models=frozenset({"openclaw", "openclaw/main"}),
    )
    assert "very-secret" not in repr(told)


def test_several_in_a_file_and_one_in_variables(tmp_path: Path) -> None:
    toml = """
        [plugins.openclaw.instances."My box"]
        base_url = "https://box.example/api/v1"
        api_key = { env = "BOX_KEY" }
        kind = "http"
        capabilities = ["chat", "tools"]
        context_length = 8192
        price = 0
        [plugins.openclaw.instances.other]
        base_url = "http://other.example"
    """
    claw, box, other = instances(tmp_path, toml, **BASE, BOX_KEY="k")
    assert [each.name for each in (claw, box, other)] == ["OpenClaw", "My box", "other"]
    assert box.kind is Kind.HTTP
    assert (box.url, box.owned_by, other.owned_by) == ("https://box.example/api", None, "OpenClaw")
    assert all(isinstance(each, Capability) for each in box.capabilities or ())
    assert box.price == Price()
    assert other.price is None, "the gateway's default price"
    assert len({each.node.id for each in (claw, box, other)}) == 3


@pytest.mark.parametrize(
    ("toml", "environ", "says"),
    [
        ("", {"OPENCLAW_ENABLED": "true"}, "OPENCLAW_BASE_URL is missing."),
        ("", {"OPENCLAW_API_KEY": "k"}, "OPENCLAW_BASE_URL is missing."),
        ("", {**BASE, "OPENCLAW_PRICE": "-1"}, "OPENCLAW_PRICE cannot be"),
        ("", {**BASE, "OPENCLAW_TIMEOUT": "0"}, "OPENCLAW_TIMEOUT must be > 0"),
        ("", {**BASE, "OPENCLAW_NODE_NAME": "Größe"}, "OPENCLAW_NODE_NAME must be a name of 1 to 64 printable ASCII"),
        ("", {**BASE, "OPENCLAW_API_KEY": "geheim\r\nx: y"}, "OPENCLAW_API_KEY has a space or another character"),
        ("", {"OPENCLAW_BASE_URL": "127.0.0.1:1"}, "OPENCLAW_BASE_URL must begin with http:// or https://"),
        ("", {"OPENCLAW_BASE_URL": "http://u:geheim@x"}, "OPENCLAW_BASE_URL must have no user name"),
        ('instances.OpenClaw.base_url = "http://x"', BASE, "OPENCLAW_NODE_NAME: rename one of them"),
        ('instances."ü".base_url = "http://x"', {}, "has 'ü', which must be a name"),
        (
            'instances.a.base_url = "http://x"\ninstances.a.kind = "ollama"',
            {},
            "kind must be one of 'openclaw', 'http'",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, toml: str, environ: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        instances(tmp_path, f"[plugins.openclaw]\n{toml}", **environ)
    assert says in caught.value.message
    assert "geheim" not in caught.value.message
