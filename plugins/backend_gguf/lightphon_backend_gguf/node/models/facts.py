"""What a GGUF file says about the model in it, as the facts that the node offers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from lightphon_backend_gguf.node.models.file_names import stem
from lightphon_backend_gguf.node.models.gguf import TENSOR_TYPES, GgufError, Header, Value, read_header
from lightphon_backend_gguf.protocol.fields import is_word
from lightphon_backend_gguf.protocol.messages import ModelFacts

QUANTIZATIONS: Mapping[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
    40: "Q1_0",
}
"""`general.file_type` by number (enum llama_ftype in llama.cpp's include/llama.h)."""

_GUESSED = 1024  # llama.cpp's flag on a file type that it worked out from the tensors

MAKERS: tuple[tuple[str, str], ...] = (
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
The core has the same table (`routing/makers.py`), which this program does not import; a test compares them.
"""

_ID = re.compile(r"[^A-Za-z0-9._:/@+-]+")
_MAX_ID = 200


def read_model(path: Path) -> Header:
    """The header of the model at `path`. GgufError, naming the file, if it cannot be read or is not whole."""
    try:
        with path.open("rb") as file:
            return read_header(file)
    except FileNotFoundError:
        raise GgufError(f"{path}: there is no such file.") from None
    except OSError as error:
        raise GgufError(f"{path}: cannot be read ({error.strerror}).") from None
    except GgufError as error:
        raise GgufError(f"{path}: {error}") from None


def facts(
    header: Header,
    *,
    file_name: str,
    model_id: str | None = None,
    context: int | None = None,
    file_bytes: int | None = None,
) -> ModelFacts:
    """The facts of one model.

    `model_id` is the operator's own name for it. `context` is how many tokens the operator grants one request; what
    is offered is never more than the length the model was trained for.
    """
    architecture = _text(header, "general.architecture")
    return ModelFacts(
        id=model_id or identifier(header, file_name),
        capabilities=capabilities(header, file_name),
        context_length=served_context(header, context),
        maker=maker(header, file_name),
        params_b=params_b(header),
        quantization=quantization(header),
        architecture=architecture if is_word(architecture) else None,
        file_bytes=file_bytes,
    )


def identifier(header: Header, file_name: str) -> str:
    """A model id from the metadata's name, else from the file's stem: printable ASCII without spaces."""
    return next(filter(None, map(plain_id, (_text(header, "general.name"), stem(file_name)))), "model")


def plain_id(name: str) -> str:
    """A model id as near to a name as one may be; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _ID.sub("-", plain).strip("-._:/@+")[:_MAX_ID]


def training_context(header: Header) -> int | None:
    """The length in tokens that the model was trained for."""
    length = header.metadata.get(f"{_text(header, 'general.architecture')}.context_length")
    return length if isinstance(length, int) and 0 < length < 2**31 else None


def served_context(header: Header, wanted: int | None) -> int | None:
    """Tokens that one request may use: what is wanted, cut to the training length; None where neither is known."""
    return min((length for length in (training_context(header), wanted) if length), default=None)


def quantization(header: Header) -> str | None:
    """The file's type, or, where it states none, the tensor type that holds most of the parameters."""
    stated = header.metadata.get("general.file_type")
    if isinstance(stated, int) and stated & ~_GUESSED in QUANTIZATIONS:
        return QUANTIZATIONS[stated & ~_GUESSED]
    elements: Counter[int] = Counter()
    for tensor in header.tensors:
        elements[tensor.kind] += tensor.elements
    kind = max(elements, key=lambda kind: elements[kind], default=-1)
    return TENSOR_TYPES[kind][0] if kind in TENSOR_TYPES else None


def params_b(header: Header) -> float | None:
    """Parameters in thousand millions; None for the first part of a split model, whose other parts are not read."""
    parts = header.metadata.get("split.count", 1)
    total = sum(tensor.elements for tensor in header.tensors)
    return None if (isinstance(parts, int) and parts > 1) or not 0 < total <= 10**15 else total / 1e9


def maker(header: Header, file_name: str) -> str | None:
    """Who made the model, as one lower-case word, by the table `MAKERS`; None if nothing tells."""
    tags = header.metadata.get("general.tags", ())
    architecture = _text(header, "general.architecture")
    sources = (
        _text(header, "general.name"),
        _text(header, "general.basename"),
        *(tag for tag in (tags if isinstance(tags, tuple) else ()) if isinstance(tag, str)),
        file_name,
        _text(header, "general.organization"),
        # Half of all models are of the architecture "llama", so this one tells nothing.
        "" if architecture == "llama" else architecture,
    )
    for source in sources:
        for word, name in MAKERS:
            after = r"(?![a-z])" if len(word) <= 4 else ""
            if re.search(rf"(?<![a-z]){word}{after}", source.lower()):
                return name
    return None


def capabilities(header: Header, file_name: str) -> tuple[str, ...]:
    """What the model can do in llama.cpp, as the words of the core's `Capability`, sorted."""
    if is_embedding(header):
        return ("embedding",)
    found = {"completion", "json", "logprobs", "choices"}
    template = _text(header, "tokenizer.chat_template")
    if template:
        found.add("chat")
        if "tools" in template:
            found.add("tools")
        if any(word in template for word in ("<think>", "enable_thinking", "reasoning_content")):
            found.add("reasoning")
    names = " ".join((_text(header, "general.name"), _text(header, "general.basename"), file_name)).lower()
    if re.search(r"(?<![a-z])code(?!c)|(?<!de)(?<!en)coder|codestral|devstral", names):
        found.add("code")
    return tuple(sorted(found))


def is_embedding(header: Header) -> bool:
    """Whether the model turns text into vectors rather than into more text."""
    return "bert" in _text(header, "general.architecture") or has_pooling(header)


def has_pooling(header: Header) -> bool:
    """Whether the file says how the vectors of a text's tokens become one."""
    pooling = header.metadata.get(f"{_text(header, 'general.architecture')}.pooling_type", 0)
    return isinstance(pooling, int) and pooling > 0


def _text(header: Header, key: str) -> str:
    value: Value = header.metadata.get(key, "")
    return value if isinstance(value, str) else ""
