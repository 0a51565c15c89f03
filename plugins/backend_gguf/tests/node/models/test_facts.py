from pathlib import Path

import pytest
from lightphon_backend_gguf.demo.model import find_demo_model
from lightphon_backend_gguf.node.models.facts import (
    capabilities,
    facts,
    identifier,
    maker,
    params_b,
    quantization,
    read_model,
)
from lightphon_backend_gguf.node.models.gguf import GgufError, Header, Tensor, Value
from lightphon_backend_gguf.protocol.messages import ModelFacts
from lightphon_backend_gguf.testing.scripted import REASONING_TEMPLATE, TOOL_TEMPLATE, build


def header(tensors: tuple[Tensor, ...] = (), **metadata: Value) -> Header:
    """A header whose keys are written with __ for a dot."""
    plain = {key.replace("__", "."): value for key, value in metadata.items()}
    return Header({"general.architecture": "llama", **plain}, tensors, data_start=0)


def test_facts_of_the_demo_model() -> None:
    path = find_demo_model()
    assert path is not None
    header = read_model(path)
    found = facts(header, file_name=path.name, model_id="SmolLM2-135M-Instruct", context=4096, file_bytes=7)
    assert found == ModelFacts(
        id="SmolLM2-135M-Instruct",
        capabilities=("chat", "choices", "completion", "json", "logprobs"),
        context_length=4096,
        maker="huggingface",
        params_b=0.134515008,
        quantization="Q4_1",
        architecture="llama",
        file_bytes=7,
    )


def test_context_is_never_more_than_the_model_was_trained_for() -> None:
    known = header(llama__context_length=2048)
    assert facts(known, file_name="m.gguf", context=9999).context_length == 2048
    assert facts(known, file_name="m.gguf").context_length == 2048
    assert facts(header(), file_name="m.gguf", context=9999).context_length == 9999
    assert facts(header(llama__context_length=float("nan")), file_name="m.gguf").context_length is None


@pytest.mark.parametrize(
    ("name", "file_name", "expected"),
    [
        ("Qwen3 Coder 30B  A3B", "x.gguf", "Qwen3-Coder-30B-A3B"),
        ("Modèle été\n\x1b[31m", "x.gguf", "Modele-ete-31m"),
        ("模型", "my model (1).Q4_0.gguf", "my-model-1-.Q4_0"),
        ("", "模型.gguf", "model"),
        ("x" * 300, "x.gguf", "x" * 200),
        ("../../etc/passwd", "x.gguf", "etc/passwd"),
    ],
)
def test_an_id_from_a_name(name: str, file_name: str, expected: str) -> None:
    found = identifier(header(general__name=name), file_name)
    assert found == expected
    assert ModelFacts(id=found, capabilities=()).id == expected


@pytest.mark.parametrize(
    ("metadata", "file_name", "expected"),
    [
        ({"general__name": "DeepSeek R1 Distill Qwen 7B"}, "x.gguf", "deepseek"),
        ({"general__name": "Some Finetune", "general__tags": ("text", "qwen3")}, "x.gguf", "qwen"),
        ({}, "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "meta"),
        ({}, "Phi-4-mini.gguf", "microsoft"),
        ({"general__name": "Sophia Philosophy"}, "x.gguf", None),
        ({"general__organization": "Google"}, "x.gguf", "google"),
        ({"general__architecture": "gemma3"}, "x.gguf", "google"),
        ({"general__architecture": "llama"}, "x.gguf", None),
        ({"general__name": 7, "general__tags": (1, 2)}, "x.gguf", None),
    ],
)
def test_maker(metadata: dict[str, Value], file_name: str, expected: str | None) -> None:
    assert maker(header((), **metadata), file_name) == expected


WRITES = ("choices", "completion", "json", "logprobs")


@pytest.mark.parametrize(
    ("metadata", "file_name", "expected"),
    [
        ({}, "m.gguf", WRITES),
        ({"tokenizer__chat_template": "{{ messages }}"}, "m.gguf", ("chat", *WRITES)),
        ({"tokenizer__chat_template": TOOL_TEMPLATE}, "m.gguf", ("chat", *WRITES, "tools")),
        ({"tokenizer__chat_template": REASONING_TEMPLATE}, "m.gguf", ("chat", *WRITES, "reasoning")),
        ({"general__name": "Qwen2.5 Coder"}, "m.gguf", ("code", *WRITES)),
        ({}, "starcoder2-3b.gguf", ("code", *WRITES)),
        ({"general__name": "Decoder Study"}, "codecs.gguf", WRITES),
        ({"general__architecture": "nomic-bert"}, "m.gguf", ("embedding",)),
        ({"llama__pooling_type": 3, "tokenizer__chat_template": "x"}, "m.gguf", ("embedding",)),
        ({"llama__pooling_type": 0}, "m.gguf", WRITES),
    ],
)
def test_capabilities(metadata: dict[str, Value], file_name: str, expected: tuple[str, ...]) -> None:
    assert capabilities(header((), **metadata), file_name) == tuple(sorted(expected))


def test_quantization_and_size() -> None:
    tensors = (Tensor("a", (256, 10), 12, 0), Tensor("b", (256,), 0, 0))
    assert quantization(header(tensors, general__file_type=15)) == "Q4_K_M"
    assert quantization(header(tensors, general__file_type=1024 + 7)) == "Q8_0"
    assert quantization(header(tensors, general__file_type=999)) == "Q4_K"
    assert quantization(header()) is None
    assert params_b(header(tensors)) == 2816 / 1e9
    assert params_b(header(tensors, split__count=4)) is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(GgufError, match=str(path)):
            read_model(path)
    damaged = build(tmp_path / "m.gguf", ["a word"])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(GgufError, match=r"m\.gguf: The GGUF file is incomplete"):
        read_model(damaged)
