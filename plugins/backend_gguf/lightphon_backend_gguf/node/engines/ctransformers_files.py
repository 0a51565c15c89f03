"""Which GGUF files ctransformers 0.2.27 can load. Pure: it judges a header, so that no other file reaches the library.

The library holds a llama.cpp of September 2023. What is newer than that it refuses without a reason at best; a
vocabulary of another kind ends its process.
"""

from lightphon_backend_gguf.node.models.gguf import TENSOR_TYPES, Header

ARCHITECTURES = ("llama", "falcon")
TOKENS = "tokenizer.ggml.tokens"
KINDS = "tokenizer.ggml.token_type"
SCORES = "tokenizer.ggml.scores"
KEPT = frozenset({TOKENS, KINDS, SCORES})
"""Long arrays that the judgement needs: give them to `read_header`."""

NEWEST_TENSOR_TYPE = 15
"""Q8_K, the last of ggml's types in September 2023."""


def missing(header: Header) -> list[str]:
    """What keeps ctransformers from loading this file, each as part of a sentence; empty if nothing does."""
    metadata = header.metadata
    architecture = metadata.get("general.architecture")
    tokenizer = metadata.get("tokenizer.ggml.model")
    names = {tensor.name for tensor in header.tensors}
    found = []
    if architecture not in ARCHITECTURES:
        found.append(f"its architecture is {architecture}, not {' or '.join(ARCHITECTURES)}")
    if tokenizer not in ("llama", "gpt2"):
        found.append("it has no vocabulary of the llama or gpt2 kind (tokenizer.ggml.model)")
    if tokenizer == "gpt2" and "tokenizer.ggml.pre" in metadata:
        found.append("its vocabulary is of a kind made after 2023 (tokenizer.ggml.pre)")
    tokens = metadata.get(TOKENS)
    for key in (TOKENS, SCORES, KINDS):
        values = metadata.get(key)
        if not isinstance(values, tuple):
            found.append(f"it has no {key}")
        elif isinstance(tokens, tuple) and len(values) != len(tokens):
            found.append(f"{key} has {len(values)} entries for {len(tokens)} tokens")
    if "output.weight" not in names:
        found.append("it has no tensor output.weight")
    newer = sorted(
        {
            TENSOR_TYPES[tensor.kind][0] if tensor.kind in TENSOR_TYPES else f"type {tensor.kind}"
            for tensor in header.tensors
            if tensor.kind > NEWEST_TENSOR_TYPE
        }
    )
    if newer:
        found.append(f"it has tensors of types made after 2023 ({', '.join(newer)})")
    return found
