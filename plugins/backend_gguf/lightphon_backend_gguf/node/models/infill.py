"""Which tokens tell a model to fill in what stands between two texts ("fill in the middle"), and what is made of them.

A model that has learned it reads the text before the gap, then the text after it, and writes what belongs between. Its
own tokens mark the three parts: PREFIX before SUFFIX after MIDDLE.
"""

from pathlib import Path

from attrs import frozen

from lightphon_backend_gguf.node.models.gguf import GgufError, Header
from lightphon_backend_gguf.node.models.vocabulary import CONTROL, USER_DEFINED, look_up


@frozen
class Infill:
    """The texts of the three tokens, as they stand in the vocabulary: engines find them in a prompt."""

    prefix: str
    suffix: str
    middle: str

    def prompt(self, before: str, after: str) -> str:
        """The prompt after which the model writes what belongs between the two."""
        return f"{self.prefix}{before}{self.suffix}{after}{self.middle}"


KNOWN = (
    Infill("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma
    Infill("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    Infill("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder, Refact
    Infill("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    Infill("▁<PRE>", "▁<SUF>", "▁<MID>"),  # Code Llama, as its vocabulary writes them
    Infill("<PRE>", "<SUF>", "<MID>"),
)
"""What models call them that do not say which they are. llama.cpp knows these too, and takes them for what they are
whatever their kind (llama_vocab::impl::load). Codestral's are left out: its order is another one, it has no token for
the middle, and models that never learned to fill in have the same tokens."""

_IDS = (
    ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_mid_token_id"),
    ("tokenizer.ggml.prefix_token_id", "tokenizer.ggml.suffix_token_id", "tokenizer.ggml.middle_token_id"),
)
"""Where a file says which they are; the second names are those of 2023."""


def read_infill(path: Path, header: Header) -> Infill | None:
    """What a model has for filling in; None if nothing. GgufError, naming the file, if it cannot be read any more."""
    texts = [text for known in KNOWN for text in (known.prefix, known.suffix, known.middle)]
    ids = _said(header)
    try:
        with path.open("rb") as file:
            found = look_up(file, header, texts=texts, ids=ids)
    except OSError as error:
        raise GgufError(f"{path}: cannot be read ({error.strerror}).") from None
    except GgufError as error:
        raise GgufError(f"{path}: {error}") from None
    if ids:
        # What a file says holds; but a token of another kind would be read as plain text.
        said = {token.id: token.text for token in found if token.kind in (CONTROL, USER_DEFINED)}
        return Infill(*(said[each] for each in ids)) if said.keys() >= set(ids) else None
    there = {token.text for token in found}
    return next((known for known in KNOWN if there >= {known.prefix, known.suffix, known.middle}), None)


def _said(header: Header) -> tuple[int, ...]:
    """The ids of the three tokens, in order; empty if the file does not say."""
    for keys in _IDS:
        ids = tuple(value for key in keys if isinstance(value := header.metadata.get(key), int))
        if len(ids) == len(keys):
            return ids
    return ()
