"""Aider edits a file through a scripted model, as docs/clients.md sets it up. `.ci/client-tests` brings aider."""

import os

import pytest
from lightphon_backend_gguf.testing import scripted

EDIT = scripted.Script(
    (
        "greeting.py\n",
        "```python\n",
        "<<<<<<< SEARCH\n",
        'print("hello")\n',
        "=======\n",
        'print("hello, world")\n',
        ">>>>>>> REPLACE\n",
        "```\n",
    )
)
"""An answer in the form that aider asks for with --edit-format diff."""

ALONE = (
    "--message 'Greet the world.' greeting.py --yes-always --no-analytics --no-check-update --no-show-release-notes "
    "--no-pretty --no-fancy-input --no-detect-urls --no-suggest-shell-commands --disable-playwright"
)
"""What makes it work without anybody at the keyboard, and call nobody else."""


@pytest.fixture
def repository(tmp_path, run_program):
    """A repository with greeting.py, and a home without any settings."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "greeting.py").write_text('print("hello")\n')
    for line in (
        "init -q -b main",
        "config user.name test",
        "config user.email t@example.org",
        "add .",
        "commit -qm 0",
    ):
        run_program("git", *line.split(), cwd=folder)
    return folder


@pytest.mark.clients
def test_aider_edits_a_file(start_system, tmp_path, repository, blocks, adapted, run_program):
    system = start_system()
    system.start_node(EDIT.write(tmp_path / "edit.gguf", context=2**16), context=2**15)
    (metadata,) = blocks("Aider", "json")
    (repository / ".aider.model.metadata.json").write_text(metadata)
    (settings,) = blocks("Aider", "sh")
    exports, _, command = adapted(system, settings).strip().rpartition("\n")
    assert command.startswith("aider --model openai/auto ")
    aider = command.replace("aider", os.environ["LIGHTPHON_TEST_AIDER"], 1)
    # litellm, inside aider, would fetch a list of prices.
    environ = {"HOME": str(tmp_path), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    said = run_program("bash", "-c", f"{exports}\n{aider} {ALONE}", cwd=repository, env=environ)
    assert "Applied edit to greeting.py" in said
    assert "Unknown context window" not in said
    assert (repository / "greeting.py").read_text() == 'print("hello, world")\n'
    log = run_program("git", "log", "--format=%b", "-1", cwd=repository)
    assert "Co-authored-by: aider (openai/auto)" in log
