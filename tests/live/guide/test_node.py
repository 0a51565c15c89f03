"""The API guide's block for Node. `.ci/npm-tests` installs its package, and says where."""

import os
import subprocess
from pathlib import Path

import pytest

BLOCK = """\
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "https://lightphon.com/v1",
  apiKey: "your-api-key"
});

const resp = await client.chat.completions.create({
  model: "auto",
  messages: [{ role: "user", content: "Hello!" }]
});
console.log(resp.choices[0].message.content);
"""


@pytest.mark.npm
def test_node(adapted, answer, tmp_path):
    # Node looks for packages beside the program, wherever it was started.
    (tmp_path / "node_modules").symlink_to(Path(os.environ["LIGHTPHON_TEST_NODE_MODULES"]) / "node_modules")
    program = tmp_path / "block.mjs"
    program.write_text(adapted(BLOCK))
    done = subprocess.run(["node", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{answer}\n"
