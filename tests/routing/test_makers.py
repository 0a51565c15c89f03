"""What names of models tell, on names that are in use; docs/models.md has the same tables."""

import re
from pathlib import Path

import pytest

from lightphon_core.ports import Backend
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.makers import ABILITIES, MAKERS, capabilities, known, maker, params_b, quantization
from lightphon_core.types import Capability, Model, Node, Offer

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
CODE, REASONING, VISION, EMBEDDING = (
    frozenset({each}) for each in (Capability.CODE, Capability.REASONING, Capability.VISION, Capability.EMBEDDING)
)
NOTHING = frozenset()


@pytest.mark.parametrize(
    ("model_id", "made_by", "size", "bits", "able"),
    [
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek", 7, None, REASONING),
        ("unsloth/DeepSeek-R1-Distill-Llama-70B", "deepseek", 70, None, REASONING),
        ("deepseek-r1:671b", "deepseek", 671, None, REASONING),
        ("meta-llama/Llama-3.1-8B-Instruct", "meta", 8, None, NOTHING),
        ("llama3.1:8b-instruct-q4_K_M", "meta", 8, "Q4_K_M", NOTHING),
        ("codellama/CodeLlama-7b-hf", "meta", 7, None, CODE),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral", 56, None, NOTHING),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507-FP8", "qwen", 30, "FP8", REASONING),
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen", 0.5, None, CODE),
        ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "qwen", 7, "AWQ", VISION),
        ("Qwen/Qwen3-Embedding-0.6B", "qwen", 0.6, None, EMBEDDING),
        ("Qwen/Qwen2.5-7B-Instruct-1M", "qwen", 7, None, NOTHING),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "huggingface", 0.135, None, NOTHING),
        ("openai/gpt-oss-20b", "openai", 20, None, REASONING),
        ("EleutherAI/gpt-j-6b", "eleutherai", 6, None, NOTHING),
        ("gpt-4o-mini", "openai", None, None, VISION),
        ("nomic-embed-text:v1.5", "nomic", None, None, EMBEDDING),
        ("BAAI/bge-m3", "baai", None, None, EMBEDDING),
        ("google/gemma-3n-E4B-it", "google", None, None, NOTHING),
        ("microsoft/Phi-3-mini-4k-instruct", "microsoft", None, None, NOTHING),
        ("bigcode/starcoder2-3b", "bigcode", 3, None, CODE),
        ("zai-org/GLM-4.5-Air", "zai", None, None, NOTHING),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "nous", 8, None, NOTHING),
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", "nvidia", 70, None, NOTHING),
        ("bartowski/Meta-Llama-3.1-8B-Instruct-BF16", "meta", 8, "BF16", NOTHING),
        ("unsloth/phi-4-fp16", "microsoft", None, "F16", NOTHING),
        ("01-ai/Yi-1.5-9B-Chat-16K", "01-ai", 9, None, NOTHING),
        ("openclaw/default", None, None, None, NOTHING),
        ("sophia-philosophy-decoder-codec", None, None, None, NOTHING),
        ("x-0b", None, None, None, NOTHING),
    ],
)
def test_what_a_name_tells(model_id, made_by, size, bits, able):
    told = (maker(model_id), params_b(model_id), quantization(model_id), capabilities(model_id))
    assert told == (made_by, size, bits, able)


def test_what_a_backend_says_counts():
    said = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.JSON})
    model = Model("Qwen/Qwen2.5-VL-Coder-7B-q4_0", said, maker="me", params_b=7.6, quantization="Q4_1")
    assert known(model) == Model(model.id, said | CODE, maker="me", params_b=7.6, quantization="Q4_1")
    embedder = Model("bge-code", EMBEDDING)
    assert known(embedder).capabilities == EMBEDDING


def test_who_says_nothing_is_known_by_name():
    assert known(Model("llava:7b")) == Model("llava:7b", frozenset({Capability.CHAT}) | VISION, params_b=7)
    assert known(Model("text-embedding-3-small")).capabilities == EMBEDDING
    assert known(Model("openclaw")) == Model("openclaw")


def test_the_catalogue_has_what_names_tell():
    class Shelf(Backend):
        name = "shelf"

        def offers(self):
            return [Offer("o", Model("Qwen/QwQ-32B"), Node("n", "n"))]

        def load(self):
            return {}

        async def serve(self, job):
            yield b""

    (entry,) = Catalogue([Shelf()], lambda: 7.0).entries()
    assert (entry.offer.model.maker, entry.offer.model.params_b) == ("qwen", 32)
    assert entry.offer.model.capabilities == REASONING | {Capability.CHAT}


def rows(heading):
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^|]+)` \| (.+) \|$", part, re.MULTILINE)


def test_the_page_has_the_tables():
    written = {(word, name) for name, words in rows("Makers") for word in re.findall(r"`([^`]+)`", words)}
    assert written == set(MAKERS)
    assert [name for name, _ in rows("Abilities")] == [capability.value for capability, _ in ABILITIES]
    for (_, examples), (_, pattern) in zip(rows("Abilities"), ABILITIES, strict=True):
        found = re.findall(r"`([^`]+)`", examples)
        assert found
        assert all(re.search(pattern, each) for each in found)
