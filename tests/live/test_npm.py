"""The official SDK for Node against the whole system. `.ci/npm-tests` installs it, and says where."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from lightphon_backend_gguf.testing import projector, scripted

SCRIPT = Path(__file__).with_name("openai_sdk.mjs")


@pytest.mark.npm
def test_node_sdk(start_system, models, tmp_path):
    system = start_system(limits={"first_output_timeout_s": 0.5})
    embedder = scripted.build(tmp_path / "embedder.gguf", scripted.GREETING.pieces, template=None, embedding=True)
    system.start_node("greeting", "tool_call", embedder, name="quick")
    eyes = projector.build(tmp_path / "mmproj.gguf", models / "greeting.gguf")
    system.start_node(("greeting", "seeing"), name="eyes", mmproj=eyes)
    (tmp_path / "slow.gguf").symlink_to(models / "greeting.gguf")
    system.start_node(tmp_path / "slow.gguf", name="halted").engines[0].send(signal.SIGSTOP)
    # Node looks for packages beside the script, wherever it was started.
    (tmp_path / "node_modules").symlink_to(Path(os.environ["LIGHTPHON_TEST_NODE_MODULES"]) / "node_modules")
    image = projector.image_part(projector.png())
    script = tmp_path / SCRIPT.name
    script.write_text(SCRIPT.read_text())
    done = subprocess.run(
        ["node", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "URL": system.url, "KEY": system.api_key, "IMAGE": image["image_url"]["url"]},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for answer in (said["whole"], said["streamed"]):
        assert (answer["content"], answer["finish"]) == (scripted.GREETING.text, "stop")
        assert answer["usage"] == said["whole"]["usage"]
    for choice in (said["call"], said["assembled"]):
        assert choice["finish"] == "tool_calls"
        assert choice["function"]["name"] == "get_weather"
        assert json.loads(choice["function"]["arguments"]) == {"city": "Paris"}
    assert said["text"]["content"] == said["text"]["streamed"] == scripted.GREETING.text
    assert said["text"]["usage"]["completion_tokens"] == said["whole"]["usage"]["completion_tokens"]
    assert said["vectors"]["widths"] == [384, 384]
    assert said["vectors"]["apart"] < 1e-6
    assert said["models"] == ["auto", "embedder", "greeting", "seeing", "slow", "tool_call"]
    assert said["image"] == {"content": scripted.GREETING.text, "tokens": projector.IMAGE_TOKENS}
    assert said["key"] == {"class": "AuthenticationError", "status": 401, "code": "invalid_api_key"}
    assert said["model"] == {"class": "NotFoundError", "status": 404, "code": "model_not_found"}
    assert (said["body"]["class"], said["body"]["status"]) == ("BadRequestError", 400)
    assert said["slow"] == {"class": "InternalServerError", "status": 504, "code": "inference_timeout"}
    assert said["slowRequests"] == 1  # the SDK, which retries a 504 by itself, was told not to
