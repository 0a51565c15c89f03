from lightphon_core.openai.models import model_list
from lightphon_core.types import Capability, ListedModel, Model


def test_the_list_starts_with_auto() -> None:
    small = Model(id="b/small", maker="qwen", context_length=4096, params_b=0.5, quantization="Q4_K_M")
    large = Model(
        id="a/large",
        owned_by="OpenClaw",
        context_length=8192,
        capabilities=frozenset({Capability.CHAT, Capability.TOOLS}),
    )
    listed = model_list([ListedModel(small, 2, 11), ListedModel(large, 1, 12), ListedModel(Model(id="c"), 0, 13)], 10)
    assert listed["object"] == "list"
    assert listed["data"] == [
        {
            "id": "auto",
            "object": "model",
            "created": 10,
            "owned_by": "lightphon",
            "context_length": 8192,
            "capabilities": ["chat", "tools"],
        },
        {
            "id": "a/large",
            "object": "model",
            "created": 12,
            "owned_by": "OpenClaw",
            "maker": None,
            "context_length": 8192,
            "capabilities": ["chat", "tools"],
            "params_b": None,
            "quantization": None,
            "nodes_online": 1,
        },
        {
            "id": "b/small",
            "object": "model",
            "created": 11,
            "owned_by": "qwen",
            "maker": "qwen",
            "context_length": 4096,
            "capabilities": ["chat"],
            "params_b": 0.5,
            "quantization": "Q4_K_M",
            "nodes_online": 2,
        },
        {
            "id": "c",
            "object": "model",
            "created": 13,
            "owned_by": "lightphon",
            "maker": None,
            "context_length": None,
            "capabilities": ["chat"],
            "params_b": None,
            "quantization": None,
            "nodes_online": 0,
        },
    ]
