"""docs/openclaw.md, and what the public guide says of OpenClaw: what needs no OpenClaw to be read."""

import os
import subprocess

import pytest
from lightphon_backend_openclaw.settings import OpenClawSettings

from lightphon_core.settings import load, plugin_settings

GUIDE = """\
OPENCLAW_ENABLED=true
OPENCLAW_BASE_URL=http://<openclaw-host>:<port>
OPENCLAW_API_KEY=          # optional, if OpenClaw requires auth
OPENCLAW_NODE_NAME=OpenClaw
OPENCLAW_PRICE=0           # cost in sats/min (0 = free)
OPENCLAW_TIMEOUT=120       # request timeout in seconds
"""


@pytest.fixture
def exported():
    """`exported(script)`: the variables that it sets in a shell."""

    def exported(script):
        done = subprocess.run(
            ["bash", "-euc", f"set -a\n{script}\nenv -0"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        entries = (entry.split("=", 1) for entry in done.stdout.split("\0") if entry)
        return {name: value for name, value in entries if name.startswith("OPENCLAW_")}

    return exported


def settings(environ, config=None):
    return plugin_settings(load(config, environ), "openclaw", OpenClawSettings, environ)


def test_the_guides_variables(exported):
    """As they stand in the guide, but for the host; nothing is no key."""
    environ = exported(GUIDE.replace("<openclaw-host>:<port>", "claw:18789"))
    one = settings(environ).openclaw
    assert (one.enabled, one.base_url, one.api_key) == (True, "http://claw:18789", None)
    assert (one.node_name, one.price, one.timeout) == ("OpenClaw", 0, 120)


def test_the_pages_variables_and_its_file_come_to_the_same(page, exported, tmp_path):
    (script,) = [block for block in page("sh") if "OPENCLAW_BASE_URL=" in block]
    one = settings(exported(script)).openclaw
    (tmp_path / "lightphon.toml").write_text(page("toml")[0])
    token = {"OPENCLAW_GATEWAY_TOKEN": one.api_key.reveal()}
    instances = settings(token, tmp_path / "lightphon.toml").instances
    other = instances[one.node_name]
    assert (one.base_url, one.price, one.timeout, one.models) == (
        other.base_url,
        other.price,
        other.timeout_s,
        other.models,
    )
    assert other.api_key.reveal() == one.api_key.reveal()
    assert instances.keys() == {"OpenClaw", "vllm"}


def test_the_variable_is_the_one_that_the_settings_read(page):
    assert page("sh")[1] == "export LIGHTPHON_API_KEY=your-api-key\n"
    assert 'apiKey: "${LIGHTPHON_API_KEY}"' in page("json5")[0]


def test_every_block_is_run(page):
    """The onboarding and both JSON5 blocks by the real OpenClaw, the others here."""
    assert {kind: len(page(kind)) for kind in ("sh", "json5", "toml", r"\w+")} == {
        "sh": 3,
        "json5": 2,
        "toml": 1,
        r"\w+": 6,
    }
