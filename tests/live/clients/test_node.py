"""Clients from npm, as docs/clients.md sets them up. `.ci/npm-tests` installs them, and says where."""

import json
import os
from pathlib import Path

import pytest
from lightphon_backend_gguf.testing import scripted

from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Capability, Model

pytestmark = pytest.mark.npm

SAID = scripted.GREETING.text


@pytest.fixture
def folder(tmp_path):
    """Where Node finds the packages."""
    (tmp_path / "node_modules").symlink_to(Path(os.environ["LIGHTPHON_TEST_NODE_MODULES"]) / "node_modules")
    return tmp_path


def test_openai_for_node(library, folder, blocks, adapted, run_program):
    printed = []
    for at, block in enumerate(blocks("openai for Node", "js")):
        (folder / f"{at}.mjs").write_text(adapted(library, block))
        printed.append(run_program("node", f"{at}.mjs", cwd=folder).strip())
    assert printed == [SAID, SAID, "[ 384, 384 ]"]


def test_continues_library(start_server, folder, blocks, adapted, run_program):
    """Every role of the page's config.yaml, with backends that say which of them was asked."""

    async def reply(job):
        if job.path == "/v1/embeddings":
            data = [{"index": at, "embedding": [0.5, 0.25]} for at in range(2)]
            yield json.dumps({"data": data, "usage": {"prompt_tokens": 2}}).encode()
            return
        suffix = json.loads(job.body).get("suffix")
        async for each in says("between ", suffix)(job) if suffix else says("a chat")(job):
            yield each

    kinds = {
        "talker": {Capability.CHAT},
        "coder": {Capability.COMPLETION, Capability.INFILL},
        "embedder": {Capability.EMBEDDING},
    }
    models = [Model(name, capabilities=frozenset(able), context_length=4096) for name, able in kinds.items()]
    running = start_server(plugin_of(ScriptedBackend(reply, models=models)))
    (config,) = blocks("Continue", "yaml")
    config = config.replace("https://lightphon.com", running.url).replace("your-api-key", running.api_key)
    (folder / "config.yaml").write_text(config.replace("your-embedding-model", "embedder"))
    (folder / "continue_api.mjs").write_text(Path(__file__).with_name("continue_api.mjs").read_text())
    said = json.loads(run_program("node", "continue_api.mjs", cwd=folder))
    assert (said["chat"]["text"], said["chat"]["finish"]) == ("a chat", "stop")
    assert said["chat"]["usage"]["total_tokens"] == 4
    assert (said["infill"]["text"], said["infill"]["finish"]) == ("between )\n", "stop")
    assert said["vectors"] == [2, 2]
    assert said["listed"] == ["auto", "coder", "embedder", "talker"]


def test_continues_command_line(start_system, folder, blocks, adapted, run_program):
    """It always offers tools, so the model's template must know them."""
    system = start_system()
    helpful = scripted.Script(scripted.GREETING.pieces, template=scripted.TOOL_TEMPLATE)
    system.start_node(helpful.write(folder / "helper.gguf", context=2**15), context=2**15)
    (config,) = blocks("Continue", "yaml")
    (folder / "config.yaml").write_text(adapted(system, config))
    cli = folder / "node_modules" / "@continuedev" / "cli" / "dist" / "cn.js"
    environ = {"HOME": str(folder), "CONTINUE_TELEMETRY_ENABLED": "0"}
    said = run_program("node", cli, "--config", "config.yaml", "-p", "Hello!", cwd=folder, env=environ)
    assert said.strip() == SAID
