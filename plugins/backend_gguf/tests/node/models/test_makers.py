"""A model has the same maker, and codes or does not, whether its file's metadata tells or only its name."""

import pytest
from lightphon_backend_gguf.node.models.facts import MAKERS, capabilities, maker
from lightphon_backend_gguf.node.models.gguf import Header

from lightphon_core import Capability
from lightphon_core.routing import makers

IDS = (
    "unsloth/DeepSeek-R1-Distill-Qwen-7B-GGUF",
    "bartowski/Meta-Llama-3.1-8B-Instruct-GGUF",
    "TheBloke/CodeLlama-7B-GGUF",
    "TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF",
    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    "bartowski/Codestral-22B-v0.1-GGUF",
    "NousResearch/Hermes-3-Llama-3.1-8B-GGUF",
    "bartowski/Llama-3.1-Nemotron-70B-Instruct-HF-GGUF",
    "ggml-org/gpt-oss-20b-GGUF",
    "unsloth/GLM-4.5-Air-GGUF",
    "HuggingFaceTB/SmolLM2-135M-Instruct-GGUF",
    "microsoft/phi-4-gguf",
    "google/gemma-3-4b-it-qat-q4_0-gguf",
    "second-state/starcoder2-3b-GGUF",
    "somebody/philosophy-decoder-codec",
)


def test_both_have_one_table() -> None:
    assert MAKERS == makers.MAKERS


@pytest.mark.parametrize("model_id", IDS)
def test_both_say_the_same(model_id: str) -> None:
    name = model_id.partition("/")[2]
    header = Header({"general.name": name.replace("-", " ")}, (), 0)
    assert maker(header, f"{name}.gguf") == makers.maker(name)
    assert ("code" in capabilities(header, f"{name}.gguf")) == (Capability.CODE in makers.capabilities(name))
