"""The kinds of engines there are, and how to make one from its settings. A restart makes a new one from the same."""

from lightphon_backend_gguf.node.engines.attached import Attached, AttachedSettings
from lightphon_backend_gguf.node.engines.base import Engine
from lightphon_backend_gguf.node.engines.ctransformers import CTransformers, CTransformersSettings
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.engines.llamaserver import LlamaServer, LlamaServerSettings

EngineSettings = LlamaCppSettings | CTransformersSettings | LlamaServerSettings | AttachedSettings

ENGINES = ("llama.cpp", "ctransformers", "llama-server")
"""What `--engine` may name, the default first. Attached servers are named by their address instead."""


def engine_for(settings: EngineSettings) -> Engine:
    """An engine that is yet to be started."""
    match settings:
        case LlamaCppSettings():
            return LlamaCpp(settings)
        case CTransformersSettings():
            return CTransformers(settings)
        case LlamaServerSettings():
            return LlamaServer(settings)
        case AttachedSettings():
            return Attached(settings)
