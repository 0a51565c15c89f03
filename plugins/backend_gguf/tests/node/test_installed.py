"""What engines that are installed here can compute with; of a llama-server, by what real ones print."""

from importlib.metadata import version
from pathlib import Path

import pytest
from lightphon_backend_gguf.node.engines import ctransformers
from lightphon_backend_gguf.node.engines.installed import Installed, gpus_listed, installed

CARDS = """ggml_cuda_init: found 2 CUDA devices:
  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes
Available devices:
  CUDA0: NVIDIA GeForce RTX 4090 (24080 MiB, 23586 MiB free)
  Vulkan1: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 24000 MiB free)
  RPC[192.0.2.1:50052]: RPC[192.0.2.1:50052] (8000 MiB, 7000 MiB free)
  BLAS: OpenBLAS (0 MiB, 0 MiB free)
"""


@pytest.mark.parametrize(
    ("printed", "gpus"),
    [
        (CARDS, ("NVIDIA GeForce RTX 4090", "AMD Radeon RX 7900 XTX (RADV NAVI31)")),
        ("Available devices:\n  (none)\n", ()),
        ("Available devices:\n", ()),
        ("error: invalid argument: --list-devices\n", None),
        ("", None),
    ],
)
def test_the_gpus_of_a_llama_server(printed: str, gpus: tuple[str, ...] | None) -> None:
    assert gpus_listed(printed) == gpus


async def test_a_llama_server_that_does_not_tell(tmp_path: Path) -> None:
    program = tmp_path / "my-server"
    for script in ("#!/bin/sh\necho Available devices:\nexit 1", "#!/no/such/program"):
        program.write_text(script)
        program.chmod(0o755)
        assert await installed(f"llama-server={program}") == Installed("llama-server", str(program), gpus=None)


async def test_engines_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await installed("ctransformers")
    assert found == Installed("ctransformers", "ctransformers", version("ctransformers"))
    monkeypatch.setattr(ctransformers, "find_spec", lambda name: None)
    missing = await installed("ctransformers")
    assert missing is not None
    assert (missing.problem, missing.requirement) == ("it is not installed", ctransformers.REQUIREMENT)
    gone = await installed("llama-server=/no/where")
    assert gone is not None
    assert (gone.package, gone.requirement) == ("/no/where", None)
    assert "--engine llama-server=PATH" in (gone.problem or "")
    assert await installed("magic") is None
    assert await installed("llama.cpp=x") is None
