"""What is llama-server's own: which of its failures are worth another start. Programs of a few lines play its part."""

from pathlib import Path

import pytest
from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.engines.llamaserver import LlamaServer, LlamaServerSettings

REFUSED = "0.00.004.433 E llama_model_load: error loading model: tensor data is not within the file bounds"
TAKEN = "0.00.003.406 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 5"


@pytest.mark.parametrize(
    ("program", "mode", "reason", "lasting"),
    [
        (f'echo "{REFUSED}" >&2; exit 1', 0o755, "tensor data is not within the file bounds", True),
        (f'echo "{TAKEN}" >&2; exit 1', 0o755, "couldn't bind HTTP server socket", False),
        ("kill -KILL $$", 0o755, "was ended by SIGKILL", False),
        ("exit 1", 0o755, "ended with status 1", False),
        ("exit 0", 0o644, "cannot be run (Permission denied)", True),
    ],
    ids=["refused", "port taken", "killed", "silent", "no program"],
)
async def test_only_what_it_refuses_itself_is_lasting(
    models: Path, tmp_path: Path, program: str, mode: int, reason: str, lasting: bool
) -> None:
    binary = tmp_path / "llama-server"
    binary.write_text(f"#!/bin/sh\n{program}\n")
    binary.chmod(mode)
    settings = LlamaServerSettings(binary, models / "greeting.gguf", alias="m", slots=1, context=512, threads=1)
    with pytest.raises(EngineError) as caught:
        await LlamaServer(settings).start()
    assert reason in str(caught.value)
    assert caught.value.lasting is lasting
