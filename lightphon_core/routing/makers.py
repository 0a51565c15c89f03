"""What the name of a model tells of it, where nobody says more: its maker, its size, its quantization, what it can do.

docs/models.md shows the tables. GPU nodes read their files' metadata instead, and have the same makers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from attrs import evolve

from lightphon_core.types import Capability, Model

MAKERS: Final[tuple[tuple[str, str], ...]] = (
    ("deepseek", "deepseek"),
    ("tinyllama", "tinyllama"),
    ("smollm", "huggingface"),
    ("zephyr", "huggingface"),
    ("huggingface", "huggingface"),
    ("nemotron", "nvidia"),
    ("nvidia", "nvidia"),
    ("hermes", "nous"),
    ("qwen", "qwen"),
    ("qwq", "qwen"),
    ("qvq", "qwen"),
    ("mistral", "mistral"),
    ("mixtral", "mistral"),
    ("ministral", "mistral"),
    ("codestral", "mistral"),
    ("devstral", "mistral"),
    ("magistral", "mistral"),
    ("pixtral", "mistral"),
    ("gemma", "google"),
    ("gemini", "google"),
    ("google", "google"),
    ("phi", "microsoft"),
    ("microsoft", "microsoft"),
    ("granite", "ibm"),
    ("command-r", "cohere"),
    ("command-a", "cohere"),
    ("cohere", "cohere"),
    ("aya", "cohere"),
    ("falcon", "tii"),
    ("olmo", "allenai"),
    ("tulu", "allenai"),
    ("gpt-j", "eleutherai"),
    ("gpt-neo", "eleutherai"),
    ("pythia", "eleutherai"),
    ("gpt-oss", "openai"),
    ("chatgpt", "openai"),
    ("gpt", "openai"),
    ("openai", "openai"),
    ("claude", "anthropic"),
    ("grok", "xai"),
    ("chatglm", "zai"),
    ("glm", "zai"),
    ("yi", "01-ai"),
    ("internlm", "internlm"),
    ("internvl", "internlm"),
    ("starcoder", "bigcode"),
    ("kimi", "moonshot"),
    ("minimax", "minimax"),
    ("minicpm", "openbmb"),
    ("hunyuan", "tencent"),
    ("ernie", "baidu"),
    ("seed-oss", "bytedance"),
    ("exaone", "lg"),
    ("solar", "upstage"),
    ("jamba", "ai21"),
    ("dbrx", "databricks"),
    ("lfm", "liquid"),
    ("stablelm", "stability"),
    ("arctic", "snowflake"),
    ("moondream", "moondream"),
    ("nomic", "nomic"),
    ("mxbai", "mixedbread"),
    ("jina", "jina"),
    ("bge", "baai"),
    ("codellama", "meta"),
    ("llama", "meta"),
    ("meta", "meta"),
)
"""Words that give a maker away, the more telling first: DeepSeek-R1-Distill-Qwen is DeepSeek's.

A word counts where no letter comes before it; words of up to four letters also need none after.
"""

ABILITIES: Final[tuple[tuple[Capability, str], ...]] = (
    (Capability.CODE, r"(?<![a-z])code(?!c)|(?<!de)(?<!en)coder|codestral|devstral"),
    (
        Capability.REASONING,
        r"reasoning|reasoner|thinking|magistral|gpt-oss|(?<![a-z])(?:qwq|qvq)|(?<![a-z0-9])(?:r1|o[134])(?![a-z0-9])",
    ),
    (
        Capability.VISION,
        r"vision|llava|pixtral|moondream|internvl|minicpm-v|gpt-4o|gemini|claude|(?<![a-z])(?:vl|qvq)(?![a-z])",
    ),
    (Capability.EMBEDDING, r"embed|minilm|mxbai|(?<![a-z])(?:bge|gte|e5)(?![a-z])"),
)
"""Names of models that can do it, as regular expressions."""

MOST_PARAMS_B: Final = 100_000.0

_PATTERNS = tuple((name, re.compile(rf"(?<![a-z]){word}" + r"(?![a-z])" * (len(word) <= 4))) for word, name in MAKERS)
_ABILITIES = tuple((capability, re.compile(pattern)) for capability, pattern in ABILITIES)
_BILLIONS = re.compile(r"(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,5}(?:\.\d{1,3})?)b(?![a-z0-9])")
_MILLIONS = re.compile(r"(?<![a-z0-9.])(\d{2,4})m(?![a-z0-9])")
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])(i?q[1-8]_(?:k(?:_(?:xs|xl|s|m|l))?|[01]|xxs|xs|s|m|nl)|tq[12]_0|mxfp4|nvfp4|bf16|fp?(?:16|32)|fp8"
    r"|int[48]|awq|gptq)(?![a-z0-9])"
)
_UNSAID = frozenset({Capability.CHAT})


def known(model: Model) -> Model:
    """The model, with what its id tells where its backend says nothing.

    A name promises what somebody prefers, CODE and REASONING, of any model. What an endpoint takes, images or texts to
    embed, it tells only of those whose backend says no more than CHAT: who serves them has not looked.
    """
    said = model.capabilities
    named, made_by, size, bits = _told(model.id)
    if said == _UNSAID:
        said = named if Capability.EMBEDDING in named else said | named
    elif Capability.EMBEDDING not in said:
        said |= named & {Capability.CODE, Capability.REASONING}
    return evolve(
        model,
        capabilities=said,
        maker=made_by if model.maker is None else model.maker,
        params_b=size if model.params_b is None else model.params_b,
        quantization=bits if model.quantization is None else model.quantization,
    )


def maker(model_id: str) -> str | None:
    """Who made it, by `MAKERS`: first what it is called, then whose repository it is in. None if nothing tells."""
    owner, _, name = model_id.lower().rpartition("/")
    for source in (name, owner):
        for made_by, pattern in _PATTERNS:
            if pattern.search(source):
                return made_by
    return None


def params_b(model_id: str) -> float | None:
    """Parameters in thousand millions: 0.135 of "135m", 56 of "8x7b" (an upper bound: experts share some), 30 of
    "30b-a3b"."""
    name = _name(model_id)
    if found := _BILLIONS.search(name):
        size = int(found[1] or 1) * float(found[2])
    elif found := _MILLIONS.search(name):
        size = int(found[1]) / 1000
    else:
        return None
    return size if 0 < size <= MOST_PARAMS_B else None


def quantization(model_id: str) -> str | None:
    """As GGUF files name it ("Q4_K_M", "F16"), or as others do ("FP8", "AWQ")."""
    found = _QUANTIZATION.search(_name(model_id))
    return None if found is None else found[1].upper().replace("FP16", "F16").replace("FP32", "F32")


def capabilities(model_id: str) -> frozenset[Capability]:
    """What models of this name can do, by `ABILITIES`. One that makes embeddings does nothing else."""
    name = _name(model_id)
    found = frozenset(capability for capability, pattern in _ABILITIES if pattern.search(name))
    return frozenset({Capability.EMBEDDING}) if Capability.EMBEDDING in found else found


@lru_cache(maxsize=10_000)
def _told(model_id: str) -> tuple[frozenset[Capability], str | None, float | None, str | None]:
    """All of it. Nodes have the same ids, and come and go."""
    return capabilities(model_id), maker(model_id), params_b(model_id), quantization(model_id)


def _name(model_id: str) -> str:
    return model_id.lower().rpartition("/")[2]
