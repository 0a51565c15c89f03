"""The entries of the model list: OpenAI's fields, OpenRouter's, and ours."""

from itertools import chain, combinations

import pytest

from lightphon_core.openai.models import auto_entry, model_entry
from lightphon_core.openai.parameters import OF_CAPABILITY, OF_EVERY_TEXT, supported_parameters
from lightphon_core.types import Capability, ListedModel, Model, Price

C = Capability
SEES = Model(
    id="b/small",
    maker="qwen",
    context_length=2048,
    params_b=0.5,
    quantization="Q4_K_M",
    capabilities=frozenset({C.CHAT, C.VISION, C.JSON}),
)
SILENT = Model(id="a/large", owned_by="OpenClaw")
VECTORS = Model(id="e", capabilities=frozenset({C.EMBEDDING}), context_length=512)
PRICE = Price(per_minute=5_000, per_mtok_prompt=5_000, per_mtok_completion=1_234_567, per_request=1)


def test_an_entry_has_all_that_is_known_and_null_for_what_is_not():
    assert model_entry(ListedModel(SEES, 2, 11), PRICE, max_output_tokens=4096) == {
        "id": "b/small",
        "object": "model",
        "created": 11,
        "owned_by": "qwen",
        "maker": "qwen",
        "name": "b/small",
        "canonical_slug": "b/small",
        "context_length": 2048,
        "architecture": {
            "modality": "text+image->text",
            "input_modalities": ["text", "image"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {
            "prompt": "0.000005",
            "completion": "0.001234567",
            "request": "0.001",
            "minute": "5",
            "currency": "sat",
        },
        "top_provider": {"context_length": 2048, "max_completion_tokens": 2048, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": [
            "max_completion_tokens",
            "max_tokens",
            "response_format",
            "seed",
            "stop",
            "structured_outputs",
            "temperature",
            "top_p",
        ],
        "capabilities": ["chat", "json", "vision"],
        "params_b": 0.5,
        "quantization": "Q4_K_M",
        "nodes_online": 2,
    }
    silent = model_entry(ListedModel(SILENT, 0, 12), Price(), max_output_tokens=4096)
    assert silent["owned_by"] == "OpenClaw"
    nobody_knows = {name for name, value in silent.items() if value is None}
    assert nobody_knows == {"maker", "context_length", "params_b", "quantization", "per_request_limits"}
    provided = {"context_length": None, "max_completion_tokens": 4096, "is_moderated": False}
    assert silent["top_provider"] == provided


def test_a_model_for_embeddings_writes_no_text():
    entry = model_entry(ListedModel(VECTORS, 1, 1), Price(), max_output_tokens=4096)
    assert entry["architecture"]["modality"] == "text->embeddings"
    assert entry["top_provider"]["max_completion_tokens"] is None
    assert entry["supported_parameters"] == ["dimensions", "encoding_format"]


def test_auto_can_do_what_any_of_them_can():
    listed = [ListedModel(each, 1, 1) for each in (SEES, SILENT, VECTORS)]
    entry = auto_entry(listed, PRICE, created=10, max_output_tokens=100)
    assert (entry["id"], entry["name"], entry["created"], entry["owned_by"]) == ("auto", "auto", 10, "lightphon")
    assert entry["context_length"] == entry["top_provider"]["context_length"] == 2048
    assert entry["top_provider"]["max_completion_tokens"] == 100
    assert entry["capabilities"] == ["chat", "embedding", "json", "vision"]
    assert entry["architecture"]["modality"] == "text+image->text+embeddings"
    assert entry["pricing"]["minute"] == "5"
    free = auto_entry(listed, PRICE, created=10, max_output_tokens=100, name="auto:free")
    assert set(free["pricing"].values()) == {"0", "sat"}
    nothing = auto_entry([], None, created=10, max_output_tokens=100)
    assert (nothing["pricing"], nothing["context_length"], nothing["supported_parameters"]) == (None, None, [])


def test_parameters_are_those_of_what_a_model_can_do():
    every = set(chain(OF_EVERY_TEXT, *OF_CAPABILITY.values()))
    assert set(supported_parameters(list(C))) == every
    for one, other in combinations(OF_CAPABILITY.values(), 2):
        assert not one & other
    for capability in C:
        alone = supported_parameters([capability])
        text = OF_EVERY_TEXT if capability in (C.CHAT, C.COMPLETION, C.INFILL) else frozenset()
        assert alone == sorted(text | OF_CAPABILITY.get(capability, frozenset()))


@pytest.mark.parametrize(("amount", "shown"), [(1, "0.000000001"), (10**9, "1"), (10**12, "1000"), (15 * 10**8, "1.5")])
def test_prices_of_a_token_are_exact(amount, shown):
    entry = model_entry(ListedModel(SEES, 1, 1), Price(per_mtok_prompt=amount), max_output_tokens=1)
    assert entry["pricing"]["prompt"] == shown
