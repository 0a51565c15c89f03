"""What /v1/models lists in `supported_parameters` reaches every engine that has the capabilities for it."""

import json

import pytest
from lightphon_backend_gguf.node.dialect import LLAMA_CPP, OPENAI, Dialect, Feature
from lightphon_backend_gguf.node.engines.ctransformers import DIALECT as CTRANSFORMERS
from lightphon_backend_gguf.node.engines.llamacpp import FEATURES
from lightphon_backend_gguf.node.guard import guarded

from lightphon_core import Capability
from lightphon_core.openai.parameters import supported_parameters

WRITTEN_BY_THE_GATEWAY = {"max_completion_tokens": "max_tokens", "structured_outputs": "response_format"}
"""Under which name they arrive, where that is another one; how vectors are written is all the gateway's."""
DIALECTS = {
    "llama.cpp": Dialect.of_slots(FEATURES | {Feature.INFILL}, LLAMA_CPP, 4),
    "one slot": Dialect.of_slots(FEATURES, LLAMA_CPP, 1),
    "vllm": Dialect.of_slots(
        frozenset({Feature.CHAT, Feature.COMPLETION, Feature.JSON, Feature.LOGPROBS, Feature.CHOICES}), OPENAI, 4
    ),
    "ollama": Dialect(frozenset({Feature.CHAT, Feature.COMPLETION, Feature.TOOLS, Feature.JSON}), OPENAI),
    "ctransformers": CTRANSFORMERS,
}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
def test_what_is_listed_reaches_the_engine(dialect):
    listed = supported_parameters([Capability(feature) for feature in dialect.features])
    assert {"temperature", "max_tokens", "stop"} <= set(listed)
    sent = {WRITTEN_BY_THE_GATEWAY.get(name, name) for name in listed} - {"dimensions", "encoding_format"}
    body = dict.fromkeys(sent, 1) | ({"prompt": "a", "suffix": "b"} if "suffix" in sent else {})
    assert set(json.loads(dialect.prepare(guarded(json.dumps(body).encode()), "m"))) == {*body, "model"}
